// The photos of the page with their states, and the queue of photos to localize.
import { localize, pictureOf } from "./api.js";
import { verdictOf } from "./words.js";

const AT_ONCE = 3; // requests
const LIST = document.getElementById("photos");
const STATUS = document.getElementById("status");
const TEMPLATE = document.getElementById("photo").content;

// Shows the picture at an address, if the browser can; returns whether it can. null shows no picture.
async function setAddress(photo, address) {
  photo.image.src = address ?? "";
  const isShown = await photo.image.decode().then(
    () => true,
    () => false,
  );
  photo.address = isShown ? address : null;
  photo.image.hidden = !isShown;
  return isShown;
}

// Shows the server's picture of a photo that browsers cannot show, such as HEIC.
async function showReduced(photo, link) {
  const address = await pictureOf(`api/results/${link.split("/").pop()}/photo`).catch(() => null);
  photo.isShown = setAddress(photo, address);
  await photo.isShown;
}

// Throws the reason if a file cannot be localized.
async function check(file, megabytes) {
  if (file.type && !file.type.startsWith("image/")) throw new Error("Not an image");
  if (file.size > 1e6 * megabytes) throw new Error(`The photo has more than ${megabytes} MB`);
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new Error("Cannot be read. Choose photos, not folders");
    });
}

export class Photos {
  #minimum;

  // Calls `onPick` with each chosen photo, and with the first localized photo.
  constructor(onPick, minimum) {
    this.#minimum = minimum;
    Object.assign(this, { onPick, all: [], waiting: [], running: 0, picked: null, facts: null });
  }

  // Returns the result of a photo in the database of the page; null while it is localized, undefined before.
  resultOf(photo) {
    return photo.results.get(this.facts?.name);
  }

  get done() {
    return this.all.map((photo) => ({ name: photo.name, result: this.resultOf(photo) })).filter(({ result }) => result);
  }

  add(files) {
    for (const file of files) this.#append({ name: file.name, file, address: URL.createObjectURL(file) });
    this.#run();
  }

  // Adds a photo with a kept result.
  addKept(name, address, result) {
    const photo = this.#append({ name, file: null, address });
    photo.results.set(this.facts.name, result);
    this.#show(photo);
    this.#run();
    this.pick(photo);
  }

  // Changes the database, and localizes the photos in it.
  use(facts) {
    this.facts = facts;
    this.waiting = this.all.filter((photo) => photo.file && this.resultOf(photo) === undefined);
    for (const photo of this.all) this.#show(photo);
    this.#run();
  }

  // Localizes photos again after temporary failures, such as a stopped server.
  retry() {
    const failed = this.all.filter((photo) => this.resultOf(photo)?.isTemporary);
    if (!failed.length) return;
    for (const photo of failed) {
      photo.results.delete(this.facts.name);
      this.#show(photo);
    }
    this.waiting.push(...failed);
    this.#run();
    this.pick(this.picked);
  }

  // Sets the minimum certainty in per cent, and shows the states for it.
  set minimum(minimum) {
    this.#minimum = minimum;
    for (const photo of this.all) this.#show(photo);
  }

  pick(photo) {
    this.picked = photo;
    for (const each of this.all) each.button.ariaPressed = `${each === photo}`;
    this.onPick(photo);
  }

  #append(photo) {
    const item = document.importNode(TEMPLATE, true).firstElementChild;
    const [button, image] = [item.firstElementChild, item.querySelector("img")];
    item.querySelector("b").textContent = photo.name;
    Object.assign(photo, { button, image, state: item.querySelector(".state"), results: new Map() });
    photo.isShown = setAddress(photo, photo.address);
    button.addEventListener("click", () => this.pick(photo));
    this.all.push(photo);
    if (photo.file) this.waiting.push(photo);
    LIST.append(item);
    return photo;
  }

  #run() {
    while (this.facts && this.waiting.length && this.running < AT_ONCE) {
      this.running += 1;
      this.#localize(this.waiting.shift()).finally(() => {
        this.running -= 1;
        this.#run();
      });
    }
    const { length: done } = this.all.filter((photo) => this.resultOf(photo) || !photo.file);
    STATUS.textContent = this.all.length ? `${done} of ${this.all.length} photos done.` : "";
  }

  async #localize(photo) {
    const { name: database, limits } = this.facts;
    const onBusy = () => database === this.facts.name && this.#say(photo, "Waiting for the server");
    let result = null;
    photo.results.set(database, result);
    this.#show(photo);
    try {
      await check(photo.file, limits.megabytes);
      result = await localize(photo.file, database, onBusy);
      if (!(await photo.isShown)) await showReduced(photo, result.link);
    } catch ({ message, isTemporary = false, status }) {
      result = { error: message, isTemporary, status, matches: [] };
    }
    photo.results.set(database, result);
    if (database !== this.facts.name) return; // another database was chosen since
    this.#show(photo);
    if (!this.picked || photo === this.picked) this.pick(photo);
  }

  #show(photo) {
    const result = this.resultOf(photo);
    if (result === null) return this.#say(photo, "Localizing");
    if (!result) return this.#say(photo, photo.file ? "Waiting" : `Only in ${[...photo.results.keys()].join(", ")}`);
    const { kind, words } = verdictOf(result, this.#minimum);
    return this.#say(photo, words, kind);
  }

  #say(photo, text, kind = "") {
    photo.state.textContent = text;
    photo.state.dataset.kind = kind;
  }
}
