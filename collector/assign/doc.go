// Package assign says what each agent of the fleet is to do: it makes every agent's work from one plan. It is a pure
// function of the plan, the sites' values, and the list of sites; the same of these always gives the same bytes, so that
// an agent which has them already needs to be told nothing.
//
// # The plan
//
// A plan is a YAML document that people write, so it is read as strictly as a settings file and every mistake in it is told
// at once, with its line. Templates hold checks, in the words of an agent's settings file (docs/agent.md). Groups say which
// sites get which templates: a list, all, or by district, type and tag. Groups don't nest; a site may be in several, and
// gets the templates of each once. Below "sites" stands what is one site's alone.
//
// What differs from site to site is a value: ${gateway} in a check stands for what the site has under that name. Values are
// declared with their type, so that a mistyped name is a mistake and not an empty address at 136 sites. They come, the
// later before the earlier, from the declaration's default, from groups in their order, from the list of sites' values
// (people keep it as a spreadsheet; see assign/lists), from the site's part of the plan and from its agent's. A check that
// needs a value which a site does not have is left out there. A value may be a list: a check with "each" is made once for
// every entry.
//
// # What may not be planned
//
// The plan says itself which networks checks may speak to ("allow", private ones unless it says otherwise); this machine,
// link-local addresses and multicast are never among them. That guards against mistakes: names are looked up by agents, which
// have an allow-list of their own and guard every socket by it. Passphrases and communities never stand in a plan: a check
// names a secret, as ${secret:NAME}, which is kept sealed elsewhere.
package assign
