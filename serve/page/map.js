// The map: density of the database, matches as numbered arrows, the estimate with its circle, the photo's own position.
import { matchIcon, ownIcon, squaresOf } from "./drawings.js";
import { degrees, metres } from "./words.js";

const L = window.L; // Leaflet
export const IS_PHONE = L.Browser.mobile;
const SAME_PLACE_M = 3; // closer matches are drawn side by side
const DELAY_MS = 150; // from a movement to the request of its squares
const MIN_REACH_M = 60; // from an estimate to the edges of its view
const MAX_ZOOM = { degrees: 20, metres: 4 };
const MIN_ZOOM = { degrees: 1, metres: -12 };

// Draws the map of a database; `load` returns the squares within bounds, `onPick` is called with the index of a match.
export class DatabaseMap {
  constructor(element, overview, { tiles, radius, load, onPick }) {
    Object.assign(this, { overview, radius, load, onPick, marks: [], asked: 0 });
    this.isGlobe = overview.unit === "degrees";
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const moves = { zoomAnimation: !this.still, fadeAnimation: !this.still, inertia: !this.still };
    this.map = L.map(element, {
      ...moves,
      crs: this.isGlobe ? L.CRS.EPSG3857 : L.CRS.Simple,
      maxZoom: MAX_ZOOM[overview.unit],
      minZoom: MIN_ZOOM[overview.unit],
      zoomSnap: tiles ? 1 : 0.5, // tiles are drawn for whole zooms
      attributionControl: false,
      dragging: !IS_PHONE, // one finger scrolls the page, two move the map
    });
    if (tiles && this.isGlobe) {
      L.control.attribution({ prefix: false }).addTo(this.map);
      L.tileLayer(tiles.url, {
        attribution: tiles.attribution,
        maxZoom: MAX_ZOOM.degrees,
        maxNativeZoom: 19,
        referrerPolicy: "strict-origin-when-cross-origin",
      }).addTo(this.map);
    }
    L.control.scale({ imperial: false }).addTo(this.map);
    this.renderer = L.canvas({ padding: 0.3 });
    this.squares = squaresOf(overview, this.renderer).addTo(this.map);
    this.found = L.layerGroup().addTo(this.map);
    this.fit("database");
    this.map.on("moveend", () => this.#refine());
    element.setAttribute("role", "region");
    this.resizes = new ResizeObserver(() => this.map.invalidateSize({ pan: false }));
    this.resizes.observe(element);
  }

  remove() {
    this.asked += 1; // drops pending answers
    clearTimeout(this.timer);
    this.resizes.disconnect();
    this.map.remove();
  }

  // Shows the matches of a result, except matches without a place on this map.
  show({ matches, exif_position: own }, hasEstimate) {
    this.found.clearLayers();
    this.marks = [];
    matches.forEach((match, index) => this.marks.push(this.#addMark(match, index)));
    const [best] = matches;
    this.estimate = best && hasEstimate ? this.#place(best) : null;
    if (this.estimate && this.radius) {
      L.circle(this.estimate, { radius: this.radius, className: "circle", interactive: false }).addTo(this.found);
    }
    this.own = own && this.isGlobe ? this.#addOwn(own, best ? this.#place(best) : null) : null;
    this.fit("estimate");
  }

  // Moves the view to the estimate, to all matches and the photo's own position, or to the database.
  fit(view) {
    this.map.invalidateSize({ pan: false }); // the page may have made room for a result
    const [west, south, east, north] = this.overview.bounds;
    const database = L.latLngBounds([south, west], [north, east]);
    const places = this.marks.filter(Boolean).map((mark) => mark.getLatLng());
    const centre = this.estimate ?? places[0];
    const bounds =
      view === "database" || !places.length
        ? database
        : view === "matches"
          ? L.latLngBounds(this.own ? [...places, this.own] : places)
          : this.#around(centre);
    this.map.fitBounds(bounds, {
      padding: [28, 28],
      maxZoom: MAX_ZOOM[this.overview.unit] - 1,
      animate: !this.still && this.map._loaded,
    });
  }

  // Highlights a match while its picture has the pointer or the focus.
  highlight(index, isOn) {
    this.marks[index]?.getElement()?.classList.toggle("strong", isOn);
  }

  #around(centre) {
    const reach = Math.max(4 * (this.radius ?? 0), MIN_REACH_M);
    if (this.isGlobe) return centre.toBounds(2 * reach);
    return L.latLngBounds([centre.lat - reach, centre.lng - reach], [centre.lat + reach, centre.lng + reach]);
  }

  // Returns the place of a match on this map, or null.
  #place({ latitude, longitude, utm_north, utm_east, zone }) {
    if (!this.isGlobe) return zone === this.overview.zone ? L.latLng(utm_north, utm_east) : null;
    if (latitude === null) return null;
    const middle = (this.overview.bounds[0] + this.overview.bounds[2]) / 2;
    return L.latLng(latitude, longitude + 360 * Math.round((middle - longitude) / 360)); // maps may cross 180 degrees
  }

  #addMark(match, index) {
    const place = this.#place(match);
    if (!place) return null;
    const neighbours = this.marks.filter((mark) => mark && this.map.distance(mark.getLatLng(), place) < SAME_PLACE_M);
    const mark = L.marker(place, { icon: matchIcon(match, neighbours.length), zIndexOffset: -100 * match.rank });
    mark.on("click", () => this.onPick(index)).addTo(this.found);
    const element = mark.getElement();
    const heading = match.heading === null ? "" : `, heading ${Math.round(match.heading)}°`;
    element.setAttribute("aria-label", `Match ${match.rank}${heading}`);
    element.addEventListener("keydown", (event) => event.key === "Enter" && this.onPick(index));
    return mark;
  }

  // Marks the photo's own position, and returns its place.
  #addOwn(own, best) {
    const place = this.#place(own);
    const label = `The photo's own position (EXIF)${own.distance_m === null ? "" : `, ${metres(own.distance_m)} from match 1`}`;
    if (best) L.polyline([place, best], { className: "apart", interactive: false }).addTo(this.found);
    const mark = L.marker(place, { icon: ownIcon(), keyboard: false });
    mark.bindTooltip(`${label}: ${degrees(own)}`).addTo(this.found);
    mark.getElement().setAttribute("role", "img");
    mark.getElement().setAttribute("aria-label", label);
    return place;
  }

  #refine() {
    clearTimeout(this.timer);
    const asked = (this.asked += 1);
    this.timer = setTimeout(async () => {
      const bounds = this.map.getBounds().pad(0.25);
      const view = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
      const found = await this.load(view).catch(() => null); // keep the last squares
      if (!found || asked !== this.asked) return;
      this.squares.remove();
      this.squares = squaresOf(found, this.renderer).addTo(this.map);
    }, DELAY_MS);
  }
}
