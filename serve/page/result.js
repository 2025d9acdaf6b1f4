// The result of one photo: its certainty, its place, and its best matches.
import { pictureOf } from "./api.js";
import { compare } from "./compare.js";
import { degrees, factsOf, metres, spreadOf, verdictOf } from "./words.js";

const COPIED_MS = 2000;
const find = (id) => document.getElementById(id);

// Shows a photo. Calls `onPoint` with the index of a match, and whether it has the pointer or the focus. `retry` localizes
// all failed photos again.
export function showResult(photo, result, minimum, { onPoint, retry }) {
  const parts = find("answer").content.cloneNode(true);
  const { kind, words, sentence } = verdictOf(result, minimum);
  const own = parts.querySelector(".own");
  if (photo.address) own.src = photo.address;
  else own.hidden = true;
  parts.querySelector("h2").textContent = photo.name;
  Object.assign(parts.querySelector(".words"), { textContent: words }).dataset.kind = kind;
  parts.querySelector(".verdict").textContent = sentence;
  parts.querySelector(".spread").textContent = spreadOf(result);
  drawScale(parts.querySelector(".scale"), result.certainty, kind);
  showPlaces(parts, result, kind);
  addLink(parts.querySelector(".link"), result.link);
  addRetry(parts.querySelector(".again"), result, retry);
  parts
    .querySelector(".matches")
    .append(...result.matches.map((match, index) => card(photo, result, match, index, onPoint)));
  find("result").replaceChildren(parts);
}

function drawScale(scale, certainty, kind) {
  scale.hidden = !certainty;
  if (!certainty) return;
  const [interval, share] = scale.children;
  scale.dataset.kind = kind;
  Object.assign(interval.style, { left: `${certainty.low}%`, width: `${certainty.high - certainty.low}%` });
  share.style.width = `${certainty.percent}%`;
}

function showPlaces(parts, { matches: [best], exif_position: own }, kind) {
  const estimate = parts.querySelector(".estimate");
  const label = kind === "absent" ? "Most similar place" : "Estimate";
  if (best && best.latitude !== null) {
    const [latitude, longitude] = degrees(best).split(", ");
    const link = Object.assign(document.createElement("a"), {
      href: `geo:${latitude},${longitude}`,
      textContent: degrees(best),
    });
    estimate.append(`${label}: `, link);
    const osm = parts.querySelector(".osm");
    osm.href = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=18/${latitude}/${longitude}`;
    osm.hidden = false;
  } else if (best) {
    const metresOf = `${best.utm_east.toFixed(1)} m east, ${best.utm_north.toFixed(1)} m north`;
    estimate.textContent = `${label}: ${metresOf}${best.zone && ` (UTM ${best.zone})`}`;
  }
  if (!own) return;
  const distance = own.distance_m === null ? "" : `, ${metres(own.distance_m)} from the estimate`;
  parts.querySelector(".exif").textContent = `The photo's own position (EXIF): ${degrees(own)}${distance}`;
}

function addLink(button, link) {
  if (!link) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const address = new URL(location.href);
    address.hash = `result=${link.split("/").pop()}`;
    try {
      await navigator.clipboard.writeText(address.href);
      button.textContent = "Copied";
    } catch { // the clipboard needs https or this machine
      button.replaceWith(
        Object.assign(document.createElement("a"), { href: address.href, textContent: "Link to this result" }),
      );
    }
    setTimeout(() => (button.textContent = "Copy link"), COPIED_MS);
  });
}

function addRetry(button, { isTemporary }, retry) {
  button.hidden = !isTemporary;
  button.addEventListener("click", () => {
    retry();
    find("result").focus(); // the button is gone
  });
}

function card(photo, result, match, index, onPoint) {
  const made = find("match").content.cloneNode(true).firstElementChild;
  const [title, facts] = made.querySelector("p").children;
  const [button, image] = [made.querySelector("button"), made.querySelector("img")];
  title.textContent = `Match ${match.rank}`;
  made.querySelector(".rank").textContent = match.rank;
  facts.textContent = factsOf(match).join("\n");
  image.alt = `Match ${match.rank}: compare`;
  pictureOf(match.picture).then(
    (address) => (image.src = address),
    () => (facts.textContent += "\nimage missing"),
  );
  button.addEventListener("click", () => compare(photo.address, result.matches, index));
  for (const [kind, isOn] of [
    ["pointerenter", true],
    ["focusin", true],
    ["pointerleave", false],
    ["focusout", false],
  ]) {
    made.addEventListener(kind, () => onPoint(index, isOn));
  }
  return made;
}
