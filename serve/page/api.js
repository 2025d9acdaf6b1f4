// Requests to the API.
const MAX_TRIES = 20; // while the server is busy
const pictures = new Map(); // addresses of pictures, by path

export class Refused extends Error {
  constructor(status, reason, seconds) {
    super(reason);
    Object.assign(this, { status, seconds });
  }

  // Whether the same photo may be accepted later.
  get isTemporary() {
    return ![400, 413, 415, 422].includes(this.status);
  }
}

// Returns the answer of the server; throws a refusal with its reason.
async function request(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { ...options, headers }).catch(() => {
    throw new Refused(0, "The server does not answer. Is it still running?");
  });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: `The server answered ${answer.status}` }));
  throw new Refused(answer.status, error, Number(answer.headers.get("Retry-After")));
}

const json = async (path, options) => (await request(path, options)).json();
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const query = (values) => new URLSearchParams(values).toString();

// Returns the facts of a database; null is the first database.
export const databaseFacts = (database) => json(`api/database?${query(database === null ? {} : { database })}`);

export const keptResult = (id) => json(`api/results/${encodeURIComponent(id)}`);

// Returns the number of images per square: within bounds (west, south, east, north), or of the whole database.
export function density(database, bounds = []) {
  const view = bounds.map((bound) => ["bounds", bound]);
  return json(`api/map?${query(database === null ? view : [["database", database], ...view])}`);
}

// Returns a photo with its matches; waits while the server is busy.
export async function localize(file, database, onBusy) {
  const body = new FormData();
  body.append("photo", file); // with its name
  for (let tries = 0; ; tries += 1) {
    try {
      return (await json(`api/localize?${query({ keep: true, database })}`, { method: "POST", body })).photos[0];
    } catch (refused) {
      if (refused.status !== 429 || tries === MAX_TRIES) throw refused;
      onBusy();
      await pause(refused.seconds || 1);
    }
  }
}

// Returns the address of a picture, fetched once: an image element cannot send the token.
export function pictureOf(path) {
  if (!pictures.has(path)) {
    const address = request(path).then(async (answer) => URL.createObjectURL(await answer.blob()));
    address.catch(() => pictures.delete(path)); // to be tried again
    pictures.set(path, address);
  }
  return pictures.get(path);
}
