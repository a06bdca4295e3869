// On every page: says when the collector's database is away, and when it answers again. The server words it all, so
// that this carries no words and stays small for pages that have no other script.

/** How often the server is asked. */
const everyMs = 15_000;

interface Status {
  store: { away: boolean; since?: string; text?: string; back_text: string; warnings: string[]; warnings_text?: string; reason?: string; fix?: string };
}

function show(status: Status): void {
  const { store } = status;
  const notice = document.getElementById("notice");
  const over = document.getElementById("notice-over");
  const says = notice?.querySelector("p");
  const details = notice?.querySelector("details");
  if (!notice || !over || !says || !details) return;
  const text = store.text ?? store.warnings_text ?? "";
  const was = notice.dataset["away"] === "true";
  const away = Boolean(store.text);
  if (was && !away) over.textContent = store.back_text;
  else if (away) over.textContent = "";
  notice.dataset["since"] = String(store.away && store.since ? Date.parse(store.since) : 0);
  notice.dataset["away"] = String(away); // live pages watch it
  if (says.textContent !== text) says.textContent = text; // what stays the same is not read out again
  const lines = (away ? [store.reason, store.fix] : store.warnings).filter((s): s is string => Boolean(s));
  const list = details.querySelector("ul");
  if (list && [...list.children].map((li) => li.textContent).join("\n") !== lines.join("\n")) {
    list.replaceChildren(...lines.map((s) => Object.assign(document.createElement("li"), { textContent: s })));
  }
  details.hidden = lines.length === 0;
  notice.hidden = text === "";
}

async function look(): Promise<void> {
  if (document.hidden) return; // nobody looks; coming back asks at once
  try {
    const answer = await fetch(`/api/v1/status?lang=${document.documentElement.lang}`, { cache: "no-store" });
    if (answer.ok) show((await answer.json()) as Status);
  } catch {
    // The collector itself is away: live pages say so, and what is shown here holds until it is back.
  }
}

setInterval(() => void look(), everyMs);
document.addEventListener("visibilitychange", () => void look());
addEventListener("pageshow", (event) => {
  if (event.persisted) void look(); // kept by the browser from who knows when
});
