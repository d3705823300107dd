package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestServersAreKnownByTheNamesThatClientsUse(t *testing.T) {
	folder := t.TempDir()
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	roots, server := load(t, folder, "server")
	for _, name := range []string{"127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.org"}); err == nil {
		t.Error("the certificate is valid for any name")
	}
}

func TestIdentitiesCarryTheirRights(t *testing.T) {
	folder := t.TempDir()
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	roots, admin := load(t, folder, identityAdmin)
	if _, err := admin.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if len(admin.Subject.Organization) != 1 || admin.Subject.Organization[0] != "system:masters" {
		t.Errorf("the administrator is of %v", admin.Subject.Organization)
	}
	_, scheduler := load(t, folder, identityScheduler)
	if scheduler.Subject.CommonName != "system:kube-scheduler" || len(scheduler.Subject.Organization) != 0 {
		t.Errorf("the scheduler is %v", scheduler.Subject)
	}
}

func TestASecondRunKeepsTheKeysAndAnUnfinishedOneMakesThemAnew(t *testing.T) {
	folder := t.TempDir()
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	first := read(t, folder, "ca.key")
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	if read(t, folder, "ca.key") != first {
		t.Error("a second run made another authority")
	}
	os.Remove(filepath.Join(folder, "complete"))
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	if read(t, folder, "ca.key") == first {
		t.Error("what an unfinished run left was used")
	}
}

func TestAnIdentityThatCameLaterIsOfTheSameAuthority(t *testing.T) {
	folder := t.TempDir()
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(folder, identityStandIns+".crt"))
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	roots, later := load(t, folder, identityStandIns)
	if _, err := later.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
}

func TestKeysAreForTheirOwnerAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "pki")
	if err := ensureCertificates(folder); err != nil {
		t.Fatal(err)
	}
	keys, _ := filepath.Glob(filepath.Join(folder, "*.key"))
	if len(keys) < 5 {
		t.Fatalf("only %v", keys)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", key, info.Mode(), err)
		}
	}
}

func load(t *testing.T, folder, identity string) (*x509.CertPool, *x509.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, folder, "ca.crt")))
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, identity+".crt"), filepath.Join(folder, identity+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return roots, pair.Leaf
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
