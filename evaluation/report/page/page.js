// Filters the pictures. Without scripts all of them are shown, worst first.
"use strict";
document.querySelectorAll(".gallery").forEach((gallery) => {
  const PAGE = 24;
  const [form, status, list, more] = gallery.children;
  const cards = [...list.children];
  const sampled = cards
    .filter((card) => card.dataset.sample >= 0)
    .sort((one, other) => one.dataset.sample - other.dataset.sample);
  let room = PAGE;

  function show() {
    const chosen = new FormData(form);
    const state = chosen.get("state");
    const text = chosen.get("text").trim().toLowerCase();
    const ordered = chosen.get("order") === "sample" ? sampled : cards;
    const fitting = ordered.filter(
      (card) => (!state || card.dataset.state === state) && card.dataset.path.toLowerCase().includes(text),
    );
    const shown = fitting.slice(0, room);
    list.replaceChildren(...shown);
    more.hidden = shown.length === fitting.length;
    status.textContent = fitting.length
      ? `${shown.length} of ${fitting.length} queries shown.`
      : "No query matches the filter.";
  }

  form.addEventListener("input", () => {
    room = PAGE;
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const before = list.children.length;
    room += PAGE;
    show();
    const next = list.children[before];
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
  });
  form.hidden = false;
  show();
});
