package registry

import "strings"

// certMark begins the Token of an Identity that is a certificate's.
const certMark = "cert:"

// Certified is the Identity of an agent with a certificate.
func Certified(serial, site, agent string) Identity {
	return Identity{Token: certMark + serial, Kind: KindAgent, Site: site, Agent: agent}
}

// Serial is the number of the certificate that an Identity is of; "" for a token.
func (id *Identity) Serial() string {
	serial, ok := strings.CutPrefix(id.Token, certMark)
	if !ok {
		return ""
	}
	return serial
}

// Shown is by what somebody has proven to be this, in words.
func (id *Identity) Shown() string {
	if id.Serial() != "" {
		return "certificate"
	}
	return "token"
}
