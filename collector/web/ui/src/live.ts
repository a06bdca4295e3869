// Live updates over server-sent events. The stream is read with fetch rather than EventSource, because EventSource
// hides the heartbeats: on a line that died without a word it would show the last picture as live for minutes.
import { lang } from "./i18n";

/** Without any byte for this long the connection is taken for lost; heartbeats come every 15 s. */
const silenceMs = 35_000;
const retryFirstMs = 1_000;
const retryMostMs = 15_000;

export interface Listener {
  /** The stream has (re)opened: fetch everything, since events may have been missed. */
  opened(): void;
  /** One event of the stream. */
  event(name: string, data: unknown): void;
  /** The stream is lost; nothing was heard since then (ms since the epoch). Called again at each failed retry. */
  lost(since: number): void;
}

export function listen(listener: Listener, path = "/api/v1/events"): void {
  let heard = Date.now();
  let wait = retryFirstMs;

  const connect = async (): Promise<void> => {
    const abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), silenceMs);
    const alive = () => {
      heard = Date.now();
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), silenceMs);
    };
    try {
      const answer = await fetch(`${path}?lang=${lang}`, {
        headers: { Accept: "text/event-stream" },
        cache: "no-store",
        signal: abort.signal,
      });
      if (!answer.ok || !answer.body) throw new Error(`HTTP ${answer.status}`);
      alive();
      wait = retryFirstMs;
      listener.opened();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const feed = parser((name, data) => listener.event(name, data));
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        alive();
        feed(value);
      }
    } catch {
      // Whatever it was, the cure is the same: say so and try again.
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    listener.lost(heard);
    setTimeout(() => void connect(), wait * (0.75 + Math.random() / 2)); // spread: all screens lost it together
    wait = Math.min(wait * 2, retryMostMs);
  };
  void connect();
}

/** Takes a stream's text in pieces and calls emit for each event that holds JSON. */
export function parser(emit: (name: string, data: unknown) => void): (piece: string) => void {
  let rest = "";
  let name = "message";
  let data: string[] = [];
  return (piece) => {
    const lines = (rest + piece).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length) {
          try {
            emit(name, JSON.parse(data.join("\n")));
          } catch {
            // Not JSON: an event of a later server that this page does not know.
          }
        } else if (name !== "message") {
          emit(name, null);
        }
        name = "message";
        data = [];
      } else if (line.startsWith("event:")) {
        name = line.slice(6).trim();
      } else if (line.startsWith("data:")) {
        data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  };
}
