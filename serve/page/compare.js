// The dialog that compares a photo with its matches, by a slider or side by side.
import { pictureOf } from "./api.js";
import { factsOf } from "./words.js";

const SIDE = 1024; // pixels of the enlarged match
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const dialog = document.getElementById("compare");
const stage = dialog.querySelector(".stage");
const [own, other] = stage.querySelectorAll("img");
const split = document.getElementById("split");
const buttons = { previous: document.getElementById("previous"), next: document.getElementById("next") };
let shown = null; // { matches, index }

// Shows a match of a photo; `photoAddress` is null if the browser cannot show the photo.
export function compare(photoAddress, matches, index) {
  stage.classList.toggle("alone", !photoAddress);
  if (photoAddress) own.src = photoAddress;
  dialog.querySelector("fieldset").hidden = !photoAddress;
  show(matches, index);
  if (!dialog.open) dialog.showModal();
  (photoAddress && stage.dataset.view !== "beside" ? split : buttons.next).focus();
}

async function show(matches, index) {
  const match = matches[index];
  shown = { matches, index };
  document.getElementById("compared").textContent = `Match ${match.rank} of ${matches.length}`;
  other.alt = other.nextElementSibling.textContent = `Match ${match.rank}`;
  dialog.querySelector(".facts").textContent = factsOf(match).join(" · ");
  buttons.previous.ariaDisabled = `${index === 0}`; // a disabled button would lose the focus and the keys
  buttons.next.ariaDisabled = `${index === matches.length - 1}`;
  other.removeAttribute("src");
  const address = await pictureOf(`${match.picture}?side=${SIDE}`).catch(() => null);
  if (shown.matches !== matches || shown.index !== index) return; // another match was chosen since
  if (address) other.src = address;
  else other.alt = `Match ${match.rank}: image missing`;
}

function step(by) {
  const index = shown.index + by;
  if (shown.matches[index]) show(shown.matches, index);
}

buttons.previous.addEventListener("click", () => step(-1));
buttons.next.addEventListener("click", () => step(1));
dialog.addEventListener("keydown", (event) => {
  if (STEPS[event.key] && event.target.localName !== "input") step(STEPS[event.key]); // the slider uses the arrows itself
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // a click outside
});
dialog.addEventListener("change", ({ target }) => {
  if (target.name === "view") stage.dataset.view = target.value;
});
split.addEventListener("input", () => stage.style.setProperty("--split", `${split.value}%`));
own.addEventListener("load", () => stage.style.setProperty("--aspect", own.naturalWidth / own.naturalHeight));
