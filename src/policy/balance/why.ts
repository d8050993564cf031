import { ms } from "../resource/duration.ts";
import type { Pick } from "./pick.ts";

/** Why a balancer chose as it did, in a few words; made only when somebody reads. */
export function whyText(pick: Pick): string {
  const parts = [chosenText(pick)];
  if (pick.warmth < 1) parts.push(`new: ${percent(pick.warmth)} of its weight`);
  const place = placeText(pick);
  if (place !== "") parts.push(place);
  if (pick.others !== "") parts.push(`not ${pick.others}`);
  return parts.join("; ");
}

function chosenText(pick: Pick): string {
  const { how, candidates, rivalId } = pick;
  const skipped =
    pick.skipped === 0 || candidates === 1
      ? ""
      : `, ${pick.skipped} drawn before ${pick.skipped === 1 ? "was" : "were"} tried, put aside or full`;
  if (how === "session") return "its session's endpoint";
  if (how === "session") return `the endpoint of its session, of ${candidates}`;
  if (candidates === 1) return "the only endpoint";
  if (pick.resort) return `${how}: the best of ${candidates} looked through${skipped}`;
  switch (how) {
    case "p2c": {
      if (rivalId === "") break;
      const own = `ewma ${ms(pick.ewmaMs)} x ${pick.inFlight + 1}`;
      return `P2C: chosen over ${rivalId} (${own} against ${ms(pick.rivalEwmaMs)} x ${pick.rivalInFlight + 1})${skipped}`;
    }
    case "least-request":
      if (pick.weight > 0)
        return `${how}: its turn by weight ${round(pick.weight)} / (${pick.inFlight} in flight + 1)${skipped}`;
      if (rivalId === "") break;
      return `${how}: ${pick.inFlight} in flight, ${rivalId} ${pick.rivalInFlight}; of ${Math.min(pick.looked, candidates)} looked at${skipped}`;
    case "prequal": {
      const rule =
        pick.cold === 0
          ? "all are hot, fewest in flight"
          : `lowest latency of ${pick.cold} cold among ${pick.looked}, hot is above ${round(pick.hotAbove)} in flight`;
      const rival =
        rivalId === "" ? "" : `, ${rivalId} ${ms(pick.rivalEwmaMs)} with ${round(pick.rivalInFlight)} in flight`;
      return `prequal: ${ms(pick.ewmaMs)} with ${round(pick.inFlight)} in flight${rival}; ${rule}${skipped}`;
    }
    case "ring-hash":
    case "maglev": {
      const key =
        pick.hash < 0
          ? "no key, drawn at random"
          : `${pick.hashSource}, hash ${pick.hash.toString(16).padStart(8, "0")}`;
      const over =
        pick.passed === 0
          ? ""
          : `, after ${pick.passed} of endpoints that have ${pick.bound} in flight, as many as boundedLoad allows`;
      return `${how}: place ${pick.place} for ${key}${over}${skipped}`;
    }
    default:
      if (pick.weight > 0) return `${how}: one of ${candidates} by weight ${round(pick.weight)}${skipped}`;
  }
  return `${how}: one of ${candidates}${skipped}`;
}

/** How its pool came about: subset, priority, zone, panic. */
function placeText(pick: Pick): string {
  const parts: string[] = [];
  if (pick.subset !== "") {
    parts.push(
      `subset ${pick.subset}${pick.subsetFallback === "" ? "" : ` has no endpoint, fell back on ${pick.subsetFallback}`}`,
    );
  }
  if (pick.levels > 1) parts.push(`priority ${pick.level} gets ${percent(pick.levelShare / 100)}`);
  if (pick.localShare >= 0) parts.push(`${percent(pick.localShare / 100)} stay in the own zone`);
  if (pick.zone !== "") parts.push(`zone ${pick.zone}`);
  if (pick.beyond) parts.push("nobody there would do, so one from elsewhere");
  if (pick.panic) parts.push("panic: so few are healthy that all are used");
  return parts.join(", ");
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}

function round(value: number): string {
  return String(value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
}
