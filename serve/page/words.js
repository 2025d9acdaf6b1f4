// Results in words.

const whole = (number) => Math.round(number).toLocaleString("en");

export function metres(length) {
  return length < 10_000 ? `${whole(length)} m` : `${whole(length / 1000)} km`;
}

export function degrees({ latitude, longitude }) {
  return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;
}

// Returns the kind of a result, which decides its colour, and its certainty in words.
export function verdictOf({ certainty, error }, minimum) {
  if (error) return { kind: "failed", words: error, sentence: "" };
  if (!certainty) {
    return {
      kind: "unknown",
      words: "Localized",
      sentence: "The certainty is unknown: the database is not calibrated for this model.",
    };
  }
  const { percent, low, high, queries, within } = certainty;
  const share = `${Number(percent.toPrecision(3))} %`;
  const sentence = `Correct (within ${within}) for ${share} of the ${queries.toLocaleString("en")} test queries as certain as this (95 % interval ${low.toFixed(0)} to ${high.toFixed(0)} %)`;
  if (percent < minimum) {
    return {
      kind: "absent",
      words: `Not in this database (${share})`,
      sentence: `${sentence}, below the minimum of ${minimum} %.`,
    };
  }
  const [kind, words] =
    low >= 80 ? ["sure", "Very likely"] : low >= 50 ? ["likely", "Likely"] : ["unsure", "Uncertain"];
  return { kind, words: `${words}: ${share}`, sentence: `${sentence}.` };
}

export function spreadOf({ matches, spread_m: length }) {
  if (matches.length < 2) return "";
  if (length === null) return `The best ${matches.length} are in different UTM zones: probably incorrect.`;
  return `The best ${matches.length} are within ${metres(length)} of each other.`;
}

export function factsOf(match) {
  const facts = [
    match.distance_m === null ? "other UTM zone" : match.rank === 1 ? "" : `${metres(match.distance_m)} from best`,
    `similarity ${match.score.toFixed(3)}`,
    match.heading === null ? "" : `heading ${Math.round(match.heading)}°`,
    match.year === null ? "" : `year ${match.year}`,
    match.changed ? "changed since it was embedded" : "",
  ];
  return facts.filter(Boolean);
}
