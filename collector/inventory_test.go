package collector

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestEquipmentFromTheAgentToTheScreen sends what an agent writes of a device, restarts the collector, and reads the
// verdict.
func TestEquipmentFromTheAgentToTheScreen(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	secret := register(t, cfg, "s1")
	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	at := time.Now().Add(-time.Minute).UnixNano()
	lines := ""
	for _, f := range [][2]string{{"vendor", "Dell"}, {"model", "OptiPlex 3020"}, {"serial", "ABC1234"}, {"class", "pc"}, {"os", "Windows 10"}, {"os_edition", "Pro"},
		{"os_release", "22H2"}, {"os_build", "10.0.19045.4412"}} {
		lines += fmt.Sprintf("equipment,agent=pc-1,device=self,fact=%s,path=lan,site=s1,target=machine value=%q,source=\"machine x\",confidence_ratio=0.95 %d\n", f[0], f[1], at)
	}
	lines += fmt.Sprintf("check,agent=pc-1,kind=machine,layer=lan,path=lan,site=s1,target=machine outcome=\"ok\",up=true,took_seconds=0.01,interval_seconds=3600,path_proof=\"bound\" %d\n", at)
	for range 2 { // as when an answer was lost
		if status, answer := r.write(t, secret, lines); status != http.StatusNoContent {
			t.Fatalf("write: %d %s", status, answer)
		}
	}
	r.stop()
	r = run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	resp, err := r.client.Get(r.url + "/api/v1/inventory/devices?as_of=2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Total   int
		Devices []struct{ ID, Model, Standing, Rule string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Total != 1 || got.Devices[0].Model != "OptiPlex 3020" || got.Devices[0].Standing != "outdated" || got.Devices[0].Rule == "" {
		t.Errorf("%+v", got)
	}
}
