package hosts

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"service_manager/hosts/knownhosts"
	"service_manager/inventory"
)

// An Offer is the host key that a host showed, and what its known_hosts files say of it.
type Offer struct {
	// Name is what the key stands under in known_hosts, as [KnownHostsName] tells.
	Name knownhosts.Name
	// Key is the host's key, also where it showed a certificate.
	Key ssh.PublicKey
	// Verdict says whether the key is known, and where it or another one stands.
	Verdict knownhosts.Verdict
	// Problems are lines of the files that could not be read.
	Problems []knownhosts.Problem
}

// Fingerprint returns the key's hash as OpenSSH prints it.
func (o Offer) Fingerprint() string { return ssh.FingerprintSHA256(o.Key) }

// errSeen ends a handshake that was begun for the host key only.
var errSeen = errors.New("the host key was seen")

// Scan asks h for its host key, of a known type where it has one, and hangs up before anyone logs in. It is one handshake on one
// connection, since sshd counts those that end so (sshd_config(5), PerSourcePenalties noauth), and takes at most h.ConnectTimeout. The
// way to h over jump hosts is that of [Pool.Connect]: their keys must be known. The error is an [Error]; that the key is not
// accepted is none.
func (p *Pool) Scan(ctx context.Context, h inventory.Host) (Offer, error) {
	ctx, cancel := p.within(ctx, h.ConnectTimeout)
	defer cancel()
	known, err := p.hostKeys.open(h.SSH.KnownHosts)
	if err != nil {
		return Offer{}, at(h, &Error{Outcome: HostKeyUnknown, Err: err, own: true})
	}
	raw, err := p.reach(ctx, h)
	if err != nil {
		return Offer{}, at(h, err)
	}
	t := &transport{Conn: raw}
	hs := handshake{host: h, transport: t, began: time.Now()}
	defer context.AfterFunc(ctx, t.abort)()
	var shown ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(t, lookupAddress(h), &ssh.ClientConfig{
		User: h.SSH.User,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			shown = key
			return errSeen
		},
		HostKeyAlgorithms: known.algorithms(h),
		ClientVersion:     "SSH-2.0-service_manager",
	})
	if shown == nil {
		return Offer{}, at(h, hs.explain(ctx, err))
	}
	return Offer{
		Name:     KnownHostsName(h),
		Key:      plainKey(shown),
		Verdict:  known.keys.Check(KnownHostsName(h), shown, time.Now()),
		Problems: known.keys.Problems(),
	}, nil
}

// KnownHostsFiles returns the files in which the host keys of h are looked up. New ones belong into the first.
func KnownHostsFiles(h inventory.Host) []string {
	if len(h.SSH.KnownHosts) > 0 {
		return h.SSH.KnownHosts
	}
	return defaultKnownHosts()
}
