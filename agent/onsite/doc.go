// Package onsite is the page that an agent shows to the people of its own office, on the machine itself: three lights, what
// to try for the first one that is not green, and one code to read out over the phone (probes/phone). It is made of the
// agent's own newest results, so it works when no line does.
//
// It is not for engineers: it names no address and no check, since whoever reads it can do three things, look at plugs,
// switch devices off and on, and call. A light is dark when nothing is known or the agent itself is in trouble; that is
// never shown as a fault of the office.
//
// The page listens on the machine alone unless the settings open it to the office's network, changes nothing, and answers
// only requests that name an address: a name in the Host header is somebody's DNS that points here (rebinding).
package onsite
