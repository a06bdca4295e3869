// All tests of screens in one process, which has one browser.
import "./screens.test.mjs";
import "./inventory.test.mjs";
import "./rehearsals.test.mjs";
import "./reports.test.mjs";
