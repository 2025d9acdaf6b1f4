// The icons and the density squares of the map.
const L = window.L; // Leaflet
const SIDE = 40; // pixels of an icon
const STEP = 23; // pixels between matches at one place
const LEVELS = 5; // of opacity
const ARROW = "M-9.1 -4.2 L0 -19 L9.1 -4.2 A10 10 0 1 1 -9.1 -4.2 Z"; // a circle that points to the north

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function icon(className, shift, ...children) {
  const html = svg("svg", { viewBox: "-20 -20 40 40", width: SIDE, height: SIDE, "aria-hidden": true }, ...children);
  return L.divIcon({ className, html, iconSize: [SIDE, SIDE], iconAnchor: [SIDE / 2 - shift, SIDE / 2] });
}

// Returns the icon of a match, to the right of its neighbours: the number of earlier matches at its place.
export function matchIcon({ rank, heading }, neighbours) {
  const shape =
    heading === null ? svg("circle", { r: 10 }) : svg("path", { d: ARROW, transform: `rotate(${heading})` });
  return icon(rank === 1 ? "mark best" : "mark", STEP * neighbours, shape, svg("text", { y: 4.5 }, `${rank}`));
}

export const ownIcon = () => icon("own-place", 0, svg("rect", { x: -8, y: -8, width: 16, height: 16, rx: 3 }));

// Returns one polygon per opacity, which is drawn much faster than single squares.
export function squaresOf({ squares, square: [width, height] }, renderer) {
  const most = Math.log(1 + Math.max(1, ...squares.map((square) => square[2])));
  const levels = Array.from({ length: LEVELS }, () => []);
  for (const [x, y, images] of squares) {
    const level = Math.min(LEVELS - 1, Math.floor((LEVELS * Math.log(1 + images)) / most));
    levels[level].push([
      [
        [y, x],
        [y, x + width],
        [y + height, x + width],
        [y + height, x],
      ],
    ]);
  }
  const color = getComputedStyle(document.documentElement).getPropertyValue("--density");
  return L.layerGroup(
    levels.map((polygons, level) =>
      L.polygon(polygons, {
        renderer,
        color,
        stroke: false,
        fillOpacity: 0.3 + (0.6 * level) / LEVELS,
        smoothFactor: 0,
        interactive: false,
      }),
    ),
  );
}
