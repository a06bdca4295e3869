// The rehearsal pages: one under way keeps itself fresh, a matrix is searched while typing. What is shown is worded by the
// server alone; this takes its words over.
import { announce, prepareChrome, showLive } from "./chrome";
import { soon } from "./dom";
import { duration, fold, number, t } from "./i18n";
import { listen } from "./live";

const rehearsal = document.body.dataset["rehearsal"] ?? ""; // of one that is planned or under way
const home = `/rehearsals/${rehearsal}`; // an order that did not pass is answered elsewhere

/** Fetches the page anew and takes over the parts that change. When the rehearsal has ended, everything is another page. */
const refresh = soon(() => {
  void (async () => {
    const answer = await fetch(home, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.body.dataset["rehearsal"] !== rehearsal) {
      location.replace(home);
      return;
    }
    const before = document.getElementById("progress-title")?.textContent;
    for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(fresh));
    }
    const after = document.getElementById("progress-title")?.textContent ?? "";
    if (before !== after) announce(after);
  })().catch(() => {}); // the live sign tells when the server is away
}, 1_000);

/** Counts down to the end of the step. */
function tick(): void {
  const left = document.getElementById("left");
  const ends = Number(left?.dataset["ends"]);
  if (!left || !ends) return;
  const seconds = Math.round((ends - Date.now()) / 1000);
  left.dataset["seconds"] = String(seconds);
  const note = left.querySelector(".step-left") ?? left.appendChild(Object.assign(document.createElement("span"), { className: "step-left" }));
  note.textContent = seconds > 0 ? ` \u00b7 ${t("rehearsal.step_left", { duration: duration(seconds) })}` : "";
}

/** Hides the lines of the matrix that do not hold what is typed. */
function seek(box: HTMLInputElement): void {
  const words = fold(box.value).trim();
  let shown = 0;
  const rows = document.querySelectorAll<HTMLElement>(".matrix tbody tr");
  for (const row of rows) {
    row.hidden = !(row.dataset["find"] ?? "").includes(words);
    if (!row.hidden) shown++;
  }
  const found = document.getElementById("found");
  if (found) found.textContent = t("rehearsal.shown", { n: number(shown), of: found.dataset["of"] ?? number(rows.length) });
}

prepareChrome(() => {});
const box = document.getElementById("q");
if (box instanceof HTMLInputElement) box.addEventListener("input", soon(() => seek(box), 80));
if (rehearsal) {
  if (location.pathname !== home) history.replaceState(null, "", home);
  showLive("connecting");
  listen(
    {
      opened: () => {
        showLive("live");
        refresh();
      },
      event: () => refresh(),
      lost: (since) => showLive("lost", since),
    },
    "/api/v1/rehearsals/events",
  );
  setInterval(tick, 1_000);
  setInterval(refresh, 10_000); // a rehearsal that waits for its time says so by itself
  tick();
}
