// The newest test calls of a site in a few words, for the tip of the map's conference layer.
import { get } from "./api";
import { dayTime, type Key, number, short, t } from "./i18n";

interface Call {
  target: string;
  at: string;
  facts: Record<string, number>;
  texts: Record<string, string>;
  flows: { direction: string; media: string; facts: Record<string, number> }[];
}

/** Calls are made every few minutes at most, so what was fetched holds for a while. */
const keptMs = 60_000;
/** A pointer that only passes over a site asks for nothing. */
const restMs = 200;

const kept = new Map<string, { at: number; words: Promise<string[]> }>();
let newest = 0;

/** Lines about a site's newest calls; none when nothing is known, or when the pointer did not rest. */
export async function newestCalls(site: string): Promise<string[]> {
  const have = kept.get(site);
  if (have && Date.now() - have.at < keptMs) return have.words;
  const mine = ++newest;
  await new Promise((done) => setTimeout(done, restMs));
  if (mine !== newest) return [];
  const words = get<{ calls: Call[] }>(`/api/v1/sites/${encodeURIComponent(site)}/conference`).then((known) => known.calls.flatMap(describe));
  kept.set(site, { at: Date.now(), words });
  return words.catch(() => {
    kept.delete(site);
    return [];
  });
}

/** A ratio as a percentage with about two digits that matter. */
function percent(ratio: number): string {
  const v = ratio * 100;
  return number(v, v === 0 || v >= 10 ? 0 : v >= 0.995 ? 1 : 2) + t("unit.percent");
}

function describe(call: Call): string[] {
  // The flow that fared worst, as its grade has it: what came too late counts as lost.
  const loss = (way: string) => {
    const [worst] = call.flows
      .filter((f) => f.direction === way)
      .map((f) => ({ lost: f.facts["loss_ratio"] ?? 0, late: f.facts["discard_ratio"] ?? 0 }))
      .sort((a, b) => b.lost + b.late - a.lost - a.late);
    return worst ? percent(worst.lost) + (worst.late > 0 ? t("conference.tip_late", { late: percent(worst.late) }) : "") : "–";
  };
  const grade = call.texts["grade"];
  const out = [`${dayTime(Date.parse(call.at))} · ${t("conference.tip_call", { target: call.target, grade: grade ? t(`conference.grade_${grade}` as Key) : "–" })}`];
  if (call.facts["rehearsal"] === 1) out.push(t("conference.tip_rehearsal"));
  const measured = (way: string) => call.flows.some((f) => f.direction === way);
  if (measured("up") || measured("down")) out.push(t("conference.tip_up", { loss: loss("up") }), t("conference.tip_down", { loss: loss("down") }));
  else if (measured("round")) out.push(t("conference.tip_round", { loss: loss("round") }));
  const [rtt, mos] = [call.facts["rtt_median_seconds"], call.facts["mos_audio"]];
  if (rtt !== undefined) out.push(t("conference.tip_rtt", { rtt: `${short(rtt * 1000)} ms` }));
  if (mos !== undefined) out.push(`${t("conference.tip_mos", { mos: number(mos, 1) })} (G.107.2)`);
  return out;
}
