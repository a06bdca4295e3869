// Finding a site by what people type: with accents, without, a code, a district.
import type { Site } from "./api";
import { fold, plain } from "./i18n";

/** A site's words, in one way of writing them. */
interface Words {
  name: string;
  all: string; // the name, and what else it is found by
}

interface Entry {
  site: Site;
  ids: string[];
  accented: Words; // tells Hoà from Hòa, phường from Phương
  folded: Words;
}

export class Index {
  private entries: Entry[] = [];

  fill(sites: Iterable<Site>): void {
    this.entries = [];
    for (const site of sites) {
      const all = [site.name, site.code, site.id, site.parent, site.type].join(" ");
      this.entries.push({
        site,
        ids: [plain(site.code), plain(site.id)],
        accented: { name: plain(site.name), all: plain(all) },
        folded: { name: fold(site.name), all: fold(all) },
      });
    }
  }

  /** Ids of the sites that match with how well, 0 the best; all words of the query must occur. */
  find(query: string): Map<string, number> {
    const [accented, folded] = [plain(query), fold(query)];
    const found = new Map<string, number>();
    for (const e of this.entries) {
      let rank = e.ids.includes(accented) ? 0 : -1;
      // Who types accents means them. Who types none means any, so there a district without accents is no better a
      // match than a name with some.
      if (rank < 0 && (accented !== folded || e.accented.name === accented)) rank = match(e.accented, accented);
      if (rank < 0 && (rank = match(e.folded, folded)) >= 0) rank += worst + 1;
      if (rank >= 0) found.set(e.site.id, rank);
    }
    return found;
  }
}

/** The rank of what is found elsewhere than in the name. */
const worst = 4;

/** How well a site's words match, 0 the best; -1: not. */
function match(words: Words, query: string): number {
  if (words.name === query) return 0;
  if (words.name.startsWith(query)) return 1;
  if (words.name.includes(" " + query)) return 2;
  if (words.name.includes(query)) return 3;
  return query.split(" ").every((w) => words.all.includes(w)) ? worst : -1;
}
