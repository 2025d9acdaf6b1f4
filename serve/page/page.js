// Sends photos to the API, a few at a time, and shows the results.
import { drawMap } from "./map.js";

const AT_ONCE = 3; // requests
const MAX_TRIES = 20; // while the server is busy
const find = (id) => document.getElementById(id);
const state = { facts: null, extent: null, shown: null, zoomed: true, waiting: [], running: 0 };

class Refused extends Error {
  constructor(status, reason, seconds) {
    super(reason);
    Object.assign(this, { status, seconds });
  }
}

// Returns the answer of the server; raises the reason of a refusal.
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

async function pictureOf(path) {
  return URL.createObjectURL(await (await request(path)).blob());
}

async function start() {
  try {
    [state.facts, state.extent] = await Promise.all([json("api/database"), json("api/map")]);
  } catch (refused) {
    find("token").hidden = refused.status !== 401;
    find("facts").textContent = refused.status === 401 ? "This server needs a token." : refused.message;
    return;
  }
  const { model, images, calibrated, limits, formats } = state.facts;
  find("token").hidden = true;
  find("facts").textContent = `${model}, ${images.toLocaleString("en")} database images${calibrated ? "" : ", certainty not calibrated"}`;
  find("limits").textContent = `${formats.join(", ")}, at most ${limits.megabytes} MB each. They are not stored.`;
  draw();
  run();
}

function draw() {
  const matches = state.shown?.result.matches ?? [];
  find("map").replaceChildren(drawMap(state.extent, matches, state.facts.radius_m, state.zoomed));
  const radius = state.facts.radius_m ? `, circle: ${state.facts.radius_m} m around the best` : "";
  find("caption").textContent = state.shown
    ? `${state.shown.file.name}: matches 1 to ${matches.length}${radius}`
    : "The database: darker squares have more images.";
  find("zoom").hidden = !state.shown;
  find("zoom").ariaPressed = `${state.zoomed}`;
}

function add(files) {
  for (const file of files) {
    const item = find("photo").content.cloneNode(true).firstElementChild;
    item.querySelector("h2").textContent = file.name;
    item.querySelector(".state").textContent = "Waiting";
    const thumbnail = item.querySelector(".thumbnail");
    thumbnail.addEventListener("error", () => (thumbnail.hidden = true)); // browsers show no HEIC
    thumbnail.src = URL.createObjectURL(file);
    const photo = { file, item, result: null };
    item.querySelector(".show").addEventListener("click", () => select(photo));
    find("photos").append(item);
    state.waiting.push(photo);
  }
  run();
}

function run() {
  while (state.facts && state.waiting.length && state.running < AT_ONCE) {
    state.running += 1;
    localize(state.waiting.shift()).finally(() => {
      state.running -= 1;
      run();
    });
  }
  const left = state.waiting.length + state.running;
  const total = find("photos").children.length;
  find("status").textContent = total ? `${total - left} of ${total} photos done.` : "";
}

async function localize(photo) {
  const text = photo.item.querySelector(".state");
  try {
    const { limits } = state.facts;
    if (photo.file.size > 1e6 * limits.megabytes) throw new Error(`The photo has more than ${limits.megabytes} MB`);
    photo.result = await send(photo, text);
  } catch (error) {
    text.textContent = error.message;
    text.classList.add("failed");
    return;
  }
  text.textContent = "";
  show(photo);
  if (!state.shown) select(photo);
}

async function send(photo, text) {
  for (let tries = 0; ; tries += 1) {
    text.textContent = tries ? "Waiting for the server" : "Localizing";
    try {
      const headers = { "Content-Type": "application/octet-stream" };
      const answer = await json("api/localize", { method: "POST", body: photo.file, headers });
      return answer.photos[0];
    } catch (refused) {
      if (refused.status !== 429 || tries === MAX_TRIES) throw refused;
      await pause(refused.seconds || 1);
    }
  }
}

// Returns how certain a photo is, in words and per cent.
function verdict({ certainty }) {
  if (!certainty) return "How certain this is, is unknown: the database is not calibrated for this model.";
  const { percent, low, high, queries } = certainty;
  const uncertain = high < 50 ? "Probably not in this database" : "Uncertain";
  const words = low >= 80 ? "Very likely" : low >= 50 ? "Likely" : uncertain;
  return `${words}: right in ${Number(percent.toPrecision(3))} % of the ${queries} test queries as certain as this (95 % interval ${low.toFixed(0)} to ${high.toFixed(0)} %).`;
}

function spread({ matches, spread_m: metres }) {
  if (matches.length < 2) return "";
  if (metres === null) return `The best ${matches.length} are in different UTM zones: probably incorrect.`;
  return `The best ${matches.length} are within ${Math.round(metres).toLocaleString("en")} m of each other.`;
}

function show({ item, result }) {
  item.querySelector(".verdict").textContent = verdict(result);
  item.querySelector(".spread").textContent = spread(result);
  const [best] = result.matches;
  if (best.latitude !== null) {
    const place = [best.latitude.toFixed(6), best.longitude.toFixed(6)];
    const link = Object.assign(document.createElement("a"), { href: `geo:${place}`, textContent: place.join(", ") });
    item.querySelector(".estimate").append("Estimate: ", link);
  }
  item.querySelector(".show").hidden = false;
  item.querySelector(".matches").append(...result.matches.map(card));
}

function card(match) {
  const made = find("match").content.cloneNode(true).firstElementChild;
  const [title, facts] = made.querySelector("p").children;
  const image = made.querySelector("img");
  title.textContent = `Match ${match.rank}`;
  const lines = [
    match.distance_m === null ? "other UTM zone" : `${Math.round(match.distance_m).toLocaleString("en")} m from the best`,
    `similarity ${match.score.toFixed(3)}`,
    match.heading === null ? "" : `heading ${Math.round(match.heading)}°`,
    match.year === null ? "" : `year ${match.year}`,
    match.changed ? "changed since it was embedded" : "",
  ];
  facts.textContent = lines.filter(Boolean).join("\n");
  image.alt = `Match ${match.rank}`;
  pictureOf(match.picture).then(
    (address) => (image.src = address),
    () => (facts.textContent += "\nimage missing"),
  );
  made.querySelector("button").addEventListener("click", () => enlarge(match, lines));
  return made;
}

async function enlarge(match, lines) {
  const [image, text] = find("large").children;
  image.alt = `Match ${match.rank}, enlarged`;
  text.textContent = [`Match ${match.rank}`, ...lines.filter(Boolean)].join(", ");
  image.removeAttribute("src");
  find("large").showModal();
  image.src = await pictureOf(`${match.picture}?side=1024`);
}

function select(photo) {
  state.shown = photo;
  for (const button of document.querySelectorAll(".show")) button.ariaPressed = `${photo.item.contains(button)}`;
  draw();
}

const images = (list) => [...list].filter((file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name));
const drop = find("drop");
find("files").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = ""; // so that the same photo can be chosen again
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => add(images(dataTransfer.files)));
document.addEventListener("paste", ({ clipboardData }) => add(images(clipboardData.files)));
find("zoom").addEventListener("click", () => {
  state.zoomed = !state.zoomed;
  draw();
});
find("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", new FormData(event.target).get("token"));
  start();
});
start();
