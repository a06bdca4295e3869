package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"communewatch/collector/registry"
	"communewatch/deploy/lab/fleet"
	"communewatch/inventory"
	"communewatch/inventory/purchases"
)

// purchasesFile is the list of what the province bought, in the lab's folder.
const purchasesFile = "purchases.csv"

// importPurchases writes the list of what was bought and takes it in, the way an operator does with
// communewatch-collector inventory purchases import. Doing it again changes nothing.
func (p *Province) importPurchases(ctx context.Context, reg *registry.Registry) error {
	if len(p.devices) == 0 {
		return nil
	}
	data, err := fleet.PurchaseList(p.devices, p.sites)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.cfg.Dir, purchasesFile), data, 0o600); err != nil {
		return err
	}
	sites, err := reg.SiteNames(ctx, "")
	if err != nil {
		return err
	}
	list := purchases.Options{Sites: sites, Today: inventory.DateOf(time.Now())}.Read(purchasesFile, data)
	if len(list.Problems) > 0 {
		return fmt.Errorf("purchases: %w", &inventory.ListError{Problems: list.Problems})
	}
	_, err = reg.Paper().ImportPurchases(ctx, list.Purchases, purchasesFile, "communewatch-lab", false)
	return err
}
