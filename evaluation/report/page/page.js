// Filters and enlarges the pictures and copies text. Without scripts all pictures are shown, worst first.
"use strict";
const PAGE = matchMedia("(max-width: 34rem)").matches ? 6 : 24;
const COPIED_MS = 1500;
const FILE = '<code></code> <button type="button" class="copy">Copy</button>';
const dialog = document.createElement("dialog");
dialog.setAttribute("aria-label", "Enlarged picture");
dialog.innerHTML = `<p></p><p>${FILE}</p><form method="dialog"><button>Close</button></form>`;
dialog.prepend(new Image());
document.body.append(dialog);
let enlarged;

// Returns the picture that an arrow key leads to; undefined at the end of a card and for other keys.
function neighbour(picture, key) {
  const pictures = [...picture.closest(".card").querySelectorAll("img")];
  return pictures[pictures.indexOf(picture) + { ArrowLeft: -1, ArrowRight: 1 }[key]];
}

function enlarge(picture) {
  const [large, words, file] = dialog.children;
  [large.src, large.alt] = [picture.src, picture.alt];
  words.textContent = `${picture.alt}: ${picture.nextElementSibling.lastChild.textContent}`;
  file.firstChild.textContent = picture.dataset.path;
  enlarged = picture;
  if (!dialog.open) dialog.showModal();
}

document.querySelectorAll(".gallery").forEach((gallery) => {
  const [form, status, list, more] = gallery.children;
  const [text, everywhere] = status.children;
  const cards = [...list.children];
  const sampled = cards
    .filter((card) => card.dataset.sample >= 0)
    .sort((one, other) => one.dataset.sample - other.dataset.sample);
  let room = PAGE;
  let place = "";

  function show() {
    const chosen = new FormData(form);
    const kind = chosen.get("kind");
    const words = chosen.get("text").trim().toLowerCase();
    const fitting = (chosen.get("order") === "sample" ? sampled : cards).filter(
      ({ dataset }) =>
        (!kind || dataset.kind === kind) &&
        (!place || dataset.place === place) &&
        dataset.path.toLowerCase().includes(words),
    );
    const shown = fitting.slice(0, room);
    list.replaceChildren(...shown);
    more.hidden = shown.length === fitting.length;
    everywhere.hidden = !place;
    text.textContent = fitting.length
      ? `${shown.length} of ${fitting.length} queries shown${place && ", of one place"}.`
      : "No query matches the filter.";
  }

  function restart(chosen) {
    place = chosen;
    room = PAGE;
    show();
  }

  function focus(element, scroll) {
    element.tabIndex = -1;
    element.focus({ preventScroll: !scroll });
  }

  document.addEventListener("click", (event) => {
    const mark = event.target.closest("a.mark");
    const card = mark && cards.find(({ id }) => `#${id}` === mark.getAttribute("href"));
    if (!card) return;
    event.preventDefault();
    form.reset();
    restart(card.dataset.place);
    focus(card, true);
  });
  form.addEventListener("input", () => restart(place));
  form.addEventListener("submit", (event) => event.preventDefault());
  everywhere.addEventListener("click", () => restart(""));
  more.addEventListener("click", () => {
    const before = list.children.length;
    room += PAGE;
    show();
    focus(list.children[before], false);
  });
  form.hidden = false;
  show();

  // A tooltip with the file name and a button that copies it, at the picture with the pointer or the focus.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.innerHTML = FILE;
  document.addEventListener("keydown", (event) => event.key === "Escape" && tip.remove());
  cards.flatMap((card) => [...card.querySelectorAll(".picture:not(.map)")]).forEach((figure) => {
    const [picture, caption] = figure.children;
    const path = caption.title;
    caption.removeAttribute("title");
    for (const kind of ["pointerenter", "focusin"]) {
      figure.addEventListener(kind, () => {
        if (tip.parentNode === figure) return;
        tip.firstChild.textContent = path;
        figure.append(tip);
      });
    }
    figure.addEventListener("pointerleave", () => tip.remove());
    figure.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !figure.contains(relatedTarget)) tip.remove();
    });
    if (!picture.src) return;
    picture.dataset.path = path;
    picture.tabIndex = figure.matches(".query") ? 0 : -1; // one stop per card: arrow keys lead to the others
    picture.setAttribute("role", "button");
    picture.addEventListener("click", () => enlarge(picture));
    picture.addEventListener("keydown", (event) => {
      neighbour(picture, event.key)?.focus();
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      enlarge(picture);
    });
  });
});

dialog.addEventListener("keydown", (event) => {
  const next = neighbour(enlarged, event.key);
  if (next) enlarge(next);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // a click beside it
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const code = button.parentElement.querySelector("code") ?? button.closest("figure").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code); // the clipboard needs https or a file
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
});
