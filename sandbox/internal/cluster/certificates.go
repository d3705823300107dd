package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The identities that have a certificate. The user name and the groups are what the API server's RBAC knows them by.
const (
	identityAdmin             = "admin"
	identityControllerManager = "kube-controller-manager"
	identityScheduler         = "kube-scheduler"
	identityStandIns          = "stand-ins"
	identityKwok              = "kwok"
	identityWorkload          = "workload"
	// identityHosts is for the hosts that the forge answers for.
	identityHosts = "hosts"
	// identityServer is for every port that speaks TLS, and for the API server's own connection to etcd.
	identityServer = "server"
)

var clients = map[string]pkix.Name{
	identityAdmin:             {CommonName: "sandbox-admin", Organization: []string{"system:masters"}},
	identityControllerManager: {CommonName: "system:kube-controller-manager"},
	identityScheduler:         {CommonName: "system:kube-scheduler"},
	identityKwok:              {CommonName: "sandbox-kwok", Organization: []string{"system:masters"}},
	identityStandIns:          {CommonName: "sandbox-stand-ins", Organization: []string{"system:masters"}},
	identityWorkload:          {CommonName: "sandbox-workload", Organization: []string{"system:masters"}},
}

// validity is long because a sandbox may be resumed after any time, and its authority is nobody else's.
const validity = 10 * 365 * 24 * time.Hour

// ensureCertificates makes the sandbox's own authority and what it signs, unless they are there.
func ensureCertificates(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "complete")); err == nil {
		return ensureClients(folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making the folder of certificates: %w", err)
	}
	authority, err := newAuthority(folder)
	if err != nil {
		return err
	}
	for identity, name := range clients {
		if err := authority.issueClient(folder, identity, name); err != nil {
			return err
		}
	}
	if err := authority.issue(folder, identityServer, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "sandbox-server"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
	}); err != nil {
		return err
	}
	if err := newServiceAccountKey(folder); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "complete"), nil, 0o600)
}

// ensureClients makes the certificates of identities that an older engine did not know when it made the others.
func ensureClients(folder string) error {
	for identity, name := range clients {
		if _, err := os.Stat(filepath.Join(folder, identity+".crt")); err == nil {
			continue
		}
		authority, err := readAuthority(folder)
		if err != nil {
			return err
		}
		if err := authority.issueClient(folder, identity, name); err != nil {
			return err
		}
	}
	return nil
}

// issueHosts makes the certificate of the hosts that the forge answers for, anew: they may be others each time.
func issueHosts(folder string, hosts []string) error {
	authority, err := readAuthority(folder)
	if err != nil {
		return err
	}
	return authority.issue(folder, identityHosts, &x509.Certificate{
		Subject: pkix.Name{CommonName: "sandbox-hosts"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: hosts,
	})
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(folder string) (*authority, error) {
	key, err := newKey(filepath.Join(folder, "ca.key"))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "gitops-bootstrap-sandbox"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	authority := &authority{certificate: template, key: key}
	signed, err := authority.sign(filepath.Join(folder, "ca.crt"), template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if authority.certificate, err = x509.ParseCertificate(signed); err != nil {
		return nil, fmt.Errorf("reading the new authority's certificate: %w", err)
	}
	return authority, nil
}

// readAuthority returns the authority that was made before.
func readAuthority(folder string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "ca.crt"), filepath.Join(folder, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's authority: %w", err)
	}
	key, is := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !is {
		return nil, fmt.Errorf("reading the sandbox's authority: its key is a %T", pair.PrivateKey)
	}
	return &authority{certificate: pair.Leaf, key: key}, nil
}

func (a *authority) issueClient(folder, identity string, name pkix.Name) error {
	return a.issue(folder, identity, &x509.Certificate{Subject: name, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// issue makes a key and a certificate by that name in the folder.
func (a *authority) issue(folder, identity string, template *x509.Certificate) error {
	key, err := newKey(filepath.Join(folder, identity+".key"))
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	_, err = a.sign(filepath.Join(folder, identity+".crt"), template, &key.PublicKey)
	return err
}

func (a *authority) sign(path string, template *x509.Certificate, public *ecdsa.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	// A clock that was set back by a little must not make a fresh certificate invalid.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", filepath.Base(path), err)
	}
	return signed, writePEM(path, "CERTIFICATE", signed)
}

// newServiceAccountKey makes the pair that signs the tokens of ServiceAccounts.
func newServiceAccountKey(folder string) error {
	key, err := newKey(filepath.Join(folder, "service-account.key"))
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encoding the key of ServiceAccounts: %w", err)
	}
	return writePEM(filepath.Join(folder, "service-account.pub"), "PUBLIC KEY", public)
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", filepath.Base(path), err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", filepath.Base(path), err)
	}
	return key, writePEM(path, "EC PRIVATE KEY", encoded)
}

func writePEM(path, kind string, content []byte) error {
	// An earlier attempt that was cut short is replaced as a whole.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", filepath.Base(path), err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}
