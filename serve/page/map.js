// Draws the map: squares of the database's images, matches as numbered arrows, and the circle of the estimate.
const SVG = "http://www.w3.org/2000/svg";
const LEVELS = 5; // of opacity
const MARK = 3; // radius, in percent of the map's width
const ARROW = "M-2.4 -2 L0 -6 L2.4 -2 Z"; // points to the north
const ROUND = [1, 2, 5];

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Returns the largest of 1, 2, 5, 10, ... that is at most a length in metres.
function roundBelow(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * ROUND.findLast((step) => step * power <= length);
}

function formatMetres(metres) {
  return metres < 1000 ? `${metres} m` : `${metres / 1000} km`;
}

// Returns a square around the matches, or the whole extent.
function boxOf(extent, matches, radius, zoomed) {
  if (!zoomed || !matches.length) return extent;
  const reach = Math.max(...matches.map((match) => Math.max(Math.abs(match.utm_east - matches[0].utm_east), Math.abs(match.utm_north - matches[0].utm_north))));
  const half = 1.3 * Math.max(reach, 3 * (radius ?? 0), 50);
  const { utm_east: east, utm_north: north } = matches[0];
  return { west: east - half, east: east + half, south: north - half, north: north + half };
}

function density(extent, box, y, unit) {
  const { square_m, squares } = extent;
  const side = Math.max(square_m, 1.2 * unit); // stays visible where a square is a point
  const margin = (side - square_m) / 2;
  const most = Math.log(1 + Math.max(...squares.map((square) => square[2])));
  const paths = Array.from({ length: LEVELS }, () => "");
  for (const [east, north, images] of squares) {
    if (east + side < box.west || east > box.east || north + side < box.south || north > box.north) continue;
    const level = Math.min(LEVELS - 1, Math.floor((LEVELS * Math.log(1 + images)) / most));
    paths[level] += `M${east - margin - box.west} ${y(north - margin + side)}h${side}v${side}h${-side}z`;
  }
  return paths.map((d, level) => element("path", { class: "squares", d, "fill-opacity": 0.25 + (0.6 * level) / LEVELS }));
}

function mark(match, x, y, unit) {
  const made = element("g", { class: match.rank === 1 ? "mark best" : "mark", transform: `translate(${x} ${y}) scale(${unit})` });
  if (match.heading !== null) {
    made.append(element("path", { d: ARROW, transform: `rotate(${match.heading})` }));
  }
  made.append(element("circle", { r: MARK }), element("text", { y: 1.3, "font-size": 4 }, `${match.rank}`));
  return made;
}

// Returns the map as SVG. Matches of other UTM zones are left out: their metres are not comparable.
export function drawMap(extent, matches, radius, zoomed) {
  const shown = matches.filter((match) => match.zone === extent.zone);
  const box = boxOf(extent, shown, radius, zoomed);
  const [width, height] = [box.east - box.west, box.north - box.south];
  const unit = width / 100;
  const y = (north) => box.north - north;
  const images = extent.squares.reduce((sum, square) => sum + square[2], 0);
  const label = shown.length
    ? `Map with ${shown.length} matches as numbered arrows in the direction of view`
    : `Map of ${images.toLocaleString("en")} database images`;
  const map = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  map.append(...density(extent, box, y, unit), element("rect", { class: "frame", width, height, "stroke-width": unit / 4 }));
  if (shown.length && radius && shown[0].rank === 1) {
    const [best] = shown;
    map.append(element("circle", { class: "circle", cx: best.utm_east - box.west, cy: y(best.utm_north), r: radius }));
  }
  for (const match of shown.toReversed()) {
    map.append(mark(match, match.utm_east - box.west, y(match.utm_north), unit));
  }
  const length = roundBelow(width / 4);
  const scale = element("g", { class: "scale", transform: `translate(${3 * unit} ${height - 3 * unit})` });
  scale.append(element("path", { d: `M0 ${-unit}V0H${length}V${-unit}` }));
  scale.append(element("text", { y: -2 * unit, "font-size": 4 * unit }, formatMetres(length)));
  map.append(scale);
  return map;
}
