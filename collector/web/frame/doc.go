// Package frame is what every page of the collector has around its own matter: the bar with its tools, the reader's
// language and theme, words, numbers and dates as the language writes them, the bundled scripts and styles, and the
// headers that keep a page to this server. The rooms beside it fill it: the map and the sites, the inventory.
package frame
