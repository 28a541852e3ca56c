package publish

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A broker is one URL of the configuration.
type broker struct {
	url  string // With credentials: never shown.
	uri  amqp.URI
	addr string // The URL without credentials and parameters.
}

func parseBrokers(cfg Config) ([]broker, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("no broker URL is configured: it looks like amqp://user:password@host:5672/vhost")
	}
	brokers := make([]broker, 0, len(cfg.URLs))
	for i, raw := range cfg.URLs {
		b, err := parseBroker(raw)
		if err != nil {
			return nil, fmt.Errorf("broker URL %d of %d: %w", i+1, len(cfg.URLs), err)
		}
		if b.uri.Scheme != "amqps" && (cfg.External || cfg.CAFile != "" || cfg.CertFile != "") {
			return nil, fmt.Errorf("broker %s: TLS files and EXTERNAL need an amqps:// URL", b.addr)
		}
		brokers = append(brokers, b)
	}
	return brokers, nil
}

// parseBroker parses one URL. Its errors do not quote it: it may hold a password, also in an unexpected place.
func parseBroker(raw string) (broker, error) {
	bad := errors.New("not an AMQP URL such as amqp://user:password@host:5672/vhost; reserved characters in user, password and " +
		"vhost must be percent-encoded (@ is %40, / is %2F)")
	// A reserved character in a password ends it early, and its rest would pass for a host, port or vhost, which are shown.
	_, rest, ok := strings.Cut(raw, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	if !ok || strings.Count(rest[:end], "@") > 1 || strings.Contains(rest[end:], "@") {
		return broker{}, bad
	}
	uri, err := amqp.ParseURI(raw)
	if err != nil {
		return broker{}, bad
	}
	addr := url.URL{Scheme: uri.Scheme, Host: net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)), Path: "/"}
	if uri.Vhost != "/" {
		addr.Path, addr.RawPath = "/"+uri.Vhost, "/"+strings.ReplaceAll(url.PathEscape(uri.Vhost), "@", "%40")
	}
	return broker{url: raw, uri: uri, addr: addr.String()}, nil
}

func shuffled(brokers []broker) []broker {
	order := slices.Clone(brokers)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // spreads the load, keeps no secret
	return order
}

// tlsConfig reads the files and returns what to dial b with, nil for plain TCP.
func (c Config) tlsConfig(b broker) (*tls.Config, error) {
	if b.uri.Scheme != "amqps" {
		return nil, nil //nolint:nilnil // no TLS is no error
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(b.uri.ServerName, b.uri.Host)}
	if file := cmp.Or(c.CAFile, b.uri.CACertFile); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the broker's CA certificate: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no PEM certificate in it", file)
		}
	}
	certFile, keyFile := c.CertFile, c.KeyFile
	if certFile == "" {
		certFile, keyFile = b.uri.CertFile, b.uri.KeyFile
	}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
		// Go itself would show none where the broker does not name its CA, and the broker could not say what is wrong with it.
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return t, nil
}

// properties is what the management page shows of the connection.
func (c Config) properties() amqp.Table {
	t := amqp.NewConnectionProperties()
	t["product"] = AppID
	delete(t, "version") // Of amqp091, not of the product.
	if c.ConnectionName != "" {
		t.SetClientConnectionName(c.ConnectionName)
	}
	return t
}
