// The page: connects its databases, photos, map and result.
import { databaseFacts, density, keptResult, pictureOf } from "./api.js";
import { compare } from "./compare.js";
import { asCsv, asGeoJson, save } from "./export.js";
import { DatabaseMap, IS_PHONE } from "./map.js";
import { Photos } from "./photos.js";
import { showResult } from "./result.js";
import { metres, verdictOf } from "./words.js";

const find = (id) => document.getElementById(id);
const minimum = () => find("minimum").valueAsNumber || 0;
const photos = new Photos(showPhoto, minimum());
let map = null;
let coverage = ""; // caption of the map without matches
let notes = "";
let openings = 0;

// Loads a database, by default the first, and localizes the photos in it. Returns whether it is open.
async function open(name = null) {
  const opening = (openings += 1);
  const loaded = await Promise.all([databaseFacts(name), density(name)]).catch((error) => error);
  if (opening !== openings) return false; // another database was chosen since
  find("token").hidden = loaded.status !== 401;
  if (loaded instanceof Error) {
    find("facts").textContent = loaded.status === 401 ? "This server needs a token." : loaded.message;
    if (photos.facts) find("database").value = photos.facts.name; // stays open
    return false;
  }
  const [facts, overview] = loaded;
  fillSelect(facts.databases, facts.name);
  showFacts(facts);
  map?.remove();
  map = new DatabaseMap(find("map"), overview, {
    tiles: facts.tiles,
    radius: facts.radius_m,
    load: (bounds) => density(facts.name, bounds),
    onPick: (index) => compare(photos.picked.address, photos.resultOf(photos.picked).matches, index),
  });
  describeMap(overview);
  photos.use(facts);
  if (photos.picked) showPhoto(photos.picked);
  return true;
}

function fillSelect(databases, name) {
  const select = find("database");
  select.parentElement.hidden = databases.length < 2;
  select.replaceChildren(...databases.map((each) => new Option(each, each, false, each === name)));
}

function showFacts({ model, images, calibrated, limits, formats }) {
  find("facts").textContent =
    `${model}, ${images.toLocaleString("en")} database images${calibrated ? "" : ", certainty not calibrated"}`;
  find("limits").textContent =
    `${formats.join(", ")}, at most ${limits.megabytes} MB each. They are not written to the disk.`;
  find("least").hidden = !calibrated;
}

function describeMap({ unplaced, squares }) {
  const images = squares.reduce((sum, square) => sum + square[2], 0).toLocaleString("en");
  notes = unplaced ? ` ${unplaced.toLocaleString("en")} images have no position on this map.` : "";
  if (IS_PHONE) notes += " Two fingers move it.";
  find("map").ariaLabel = `Map of ${images} database images; the arrow keys move it, + and - zoom`;
  coverage = `Where the database has images: the stronger the colour, the more.${notes}`;
  find("caption").textContent = coverage;
}

function showPhoto(photo) {
  if (!map) return; // the database is loading
  const result = photos.resultOf(photo);
  document.body.classList.add("busy");
  find("tools").hidden = false;
  for (const button of find("views").children)
    button.disabled = button.dataset.view !== "database" && !result?.matches.length;
  if (!result) {
    find("result").replaceChildren();
    find("caption").textContent = coverage;
    map.show({ matches: [] }, false);
    return;
  }
  if (result.status === 401) find("token").hidden = false; // the server was restarted with another token
  showResult(photo, result, minimum(), {
    onPoint: (index, isOn) => map.highlight(index, isOn),
    retry: () => photos.retry(),
  });
  const { kind, words } = verdictOf(result, minimum());
  const isAbsent = kind === "absent";
  find("spoken").textContent = `${photo.name}: ${words}`;
  map.show(result, !isAbsent);
  const radius =
    photos.facts.radius_m && !isAbsent ? `; circle: ${metres(photos.facts.radius_m)} around the estimate` : "";
  const own = result.exif_position ? "; square: the photo's own position" : "";
  find("caption").textContent = result.matches.length
    ? `Arrows: matches 1 to ${result.matches.length} in their headings${radius}${own}.${notes}`
    : coverage;
}

// Shows the kept result of the page's address.
async function openKept() {
  const id = /^#result=([\w-]+)$/.exec(location.hash)?.[1];
  if (!id || !photos.facts) return;
  try {
    const kept = await keptResult(id);
    const [result] = kept.photos;
    if (kept.database !== photos.facts.name && !(await open(kept.database))) return;
    photos.addKept(result.photo, await pictureOf(kept.photo_picture).catch(() => null), result);
  } catch (refused) {
    find("status").textContent =
      refused.status === 404 ? "This result is no longer kept. Localize the photo again." : refused.message;
  }
}

async function start() {
  if (!(await open(photos.facts?.name))) return;
  photos.retry(); // photos that failed for lack of the token
  openKept();
}

find("files").addEventListener("change", ({ target }) => {
  photos.add(target.files);
  target.value = ""; // the same photo can be chosen again
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => photos.add(dataTransfer.files));
document.addEventListener("paste", ({ clipboardData }) => photos.add(clipboardData.files));
find("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", new FormData(event.target).get("token"));
  start();
});
find("database").addEventListener("change", ({ target }) => open(target.value));
find("minimum").addEventListener("change", () => {
  photos.minimum = minimum();
  if (photos.picked) showPhoto(photos.picked);
});
find("views").addEventListener("click", ({ target }) => target.dataset.view && map.fit(target.dataset.view));
for (const [id, type, write] of [
  ["geojson", "application/geo+json", asGeoJson],
  ["csv", "text/csv", asCsv],
]) {
  find(id).addEventListener("click", () =>
    save(`photos.${id}`, type, write(photos.done, photos.facts.name, minimum())),
  );
}
addEventListener("hashchange", openKept);
start();
