// Package fleet counts over the verdicts of many items: how many are outdated, fine or unknown, what loses its support
// until a day, how many models and versions are in use, how often what fails. Pure functions; nothing is estimated that
// was not counted.
package fleet
