// Finding a site by what people type: with accents, without, a code, a district.
import type { Site } from "./api";
import { fold } from "./i18n";

interface Entry {
  site: Site;
  exact: string; // as written, lower case: tells Hoà from Hòa
  folded: string;
  rest: string; // folded code, id and district
}

export class Index {
  private entries: Entry[] = [];

  fill(sites: Iterable<Site>): void {
    this.entries = [];
    for (const site of sites) {
      this.entries.push({
        site,
        exact: site.name.normalize("NFC").toLowerCase(),
        folded: fold(site.name),
        rest: `${site.code.toLowerCase()} ${site.id.toLowerCase()} ${fold(site.parent)} ${fold(site.type)}`,
      });
    }
  }

  /** Ids of the sites that match with how well, 0 the best; all words of the query must occur. */
  find(query: string): Map<string, number> {
    const exact = query.normalize("NFC").trim().toLowerCase();
    const folded = fold(query);
    const words = folded.split(" ");
    const found = new Map<string, number>();
    for (const e of this.entries) {
      const rank = this.rank(e, exact, folded, words);
      if (rank >= 0) found.set(e.site.id, rank);
    }
    return found;
  }

  private rank(e: Entry, exact: string, folded: string, words: string[]): number {
    if (e.exact === exact) return 0;
    if (e.site.code === exact || e.site.id.toLowerCase() === exact) return 0;
    if (e.folded === folded) return exact === folded ? 1 : 2;
    if (e.exact.startsWith(exact)) return 3;
    if (e.folded.startsWith(folded)) return 4;
    if (e.folded.includes(" " + folded)) return 5;
    if (e.folded.includes(folded)) return 6;
    const all = `${e.folded} ${e.rest}`;
    return words.every((w) => all.includes(w)) ? 7 : -1;
  }
}
