// Saves the results of the page as GeoJSON and CSV.
import { verdictOf } from "./words.js";

const COLUMNS = [
  "photo",
  "database",
  "rank",
  "latitude",
  "longitude",
  "utm_east",
  "utm_north",
  "zone",
  "heading",
  "year",
  "score",
  "distance_m",
  "spread_m",
  "certainty_percent",
  "certainty_low",
  "certainty_high",
  "exif_latitude",
  "exif_longitude",
  "exif_distance_m",
  "refused",
  "error",
];
const FORMULA = /^[=+\-@\t\r]/; // text that spreadsheets would run as a formula

// Returns one row per match; a single row for a photo without matches, or below the minimum certainty.
function rowsOf({ name, result }, database, minimum) {
  const { certainty, exif_position: own } = result;
  const photo = {
    ...{ photo: name, database, spread_m: result.spread_m, error: result.error },
    ...{ certainty_percent: certainty?.percent, certainty_low: certainty?.low, certainty_high: certainty?.high },
    ...{ exif_latitude: own?.latitude, exif_longitude: own?.longitude, exif_distance_m: own?.distance_m },
  };
  const { kind, words } = verdictOf(result, minimum);
  if (kind === "absent") return [{ ...photo, refused: words }];
  return result.matches.length ? result.matches.map((match) => ({ ...photo, ...match })) : [photo];
}

// Returns a row as a GeoJSON feature, with a point instead of latitude and longitude.
function feature({ latitude, longitude, ...properties }) {
  const hasPlace = (latitude ?? null) !== null;
  delete properties.picture;
  const geometry = hasPlace ? { type: "Point", coordinates: [longitude, latitude] } : null;
  return { type: "Feature", geometry, properties };
}

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return `${value}`;
  const text = FORMULA.test(value) ? `'${value}` : `${value}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function asGeoJson(photos, database, minimum) {
  const features = photos.flatMap((photo) => rowsOf(photo, database, minimum)).map(feature);
  return JSON.stringify({ type: "FeatureCollection", features }, null, 2);
}

export function asCsv(photos, database, minimum) {
  const rows = photos.flatMap((photo) => rowsOf(photo, database, minimum));
  return [COLUMNS, ...rows.map((row) => COLUMNS.map((column) => row[column]))]
    .map((row) => `${row.map(cell).join(",")}\r\n`)
    .join("");
}

export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // after the browser has read it
}
