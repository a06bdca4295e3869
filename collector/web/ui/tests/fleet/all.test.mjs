// A whole collector, from its first administrator to the last page, in one browser. The tests are one story: each goes on
// from what those before it did. See collector/web/fleet/town_test.go for what is served.
import "./people.test.mjs";
import "./agents.test.mjs";
import "./devices.test.mjs";
import "./work.test.mjs";
import "./roles.test.mjs";
import "./looks.test.mjs";
