package lab

import (
	_ "embed"
	"fmt"

	"communewatch/inventory"
)

// sitesCSV is the 136 communes of one province, as they were until the end of 2024.
//
//go:embed sites.csv
var sitesCSV []byte

// LocalSite is the site of the agent that measures this very machine's network.
const LocalSite = "this-machine"

// provinceSites returns n sites: the province's communes, and beyond them made-up ones on a grid around it.
func provinceSites(n int) ([]inventory.Site, error) {
	sites, err := inventory.ReadSites("sites.csv", sitesCSV)
	if err != nil {
		return nil, err
	}
	for i := len(sites); i < n; i++ {
		k := i - len(sites)
		sites = append(sites, inventory.Site{
			ID: fmt.Sprintf("x%05d", i), Code: fmt.Sprintf("x%05d", i), Name: fmt.Sprintf("Xã %d", i), Type: "xã",
			Parent:   fmt.Sprintf("Huyện %d", k/100+1),
			Position: &inventory.LatLon{Lat: 18 + float64(k/120)*0.02, Lon: 103.5 + float64(k%120)*0.02},
		})
	}
	return sites[:n], nil
}

func localSite() inventory.Site {
	return inventory.Site{ID: LocalSite, Name: "Máy này", Type: "máy", Parent: "Máy chạy thử"}
}

// SiteIDs lists the ids of the simulated sites of a lab of n.
func SiteIDs(n int) ([]string, error) {
	sites, err := provinceSites(n)
	if err != nil {
		return nil, err
	}
	return (&Province{sites: sites}).Sites(), nil
}
