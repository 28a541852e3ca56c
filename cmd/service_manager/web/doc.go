// Package web is the collector's HTTP side: what Prometheus scrapes, what a load balancer or a person asks, and the latest status of each
// host for consumers that come late.
//
//	collector ──▶ Latest.Observe ──▶ Latest ──▶ /api/v1/hosts, /metrics (of hosts and units), /readyz
//	publisher, outbox, pool … ──▶ their Stats ──▶ /metrics (of the collector), /readyz
//
// It only reads: nothing that is asked of it changes what the collector does, or keeps it waiting. There is no authentication, and no TLS:
// it belongs on loopback, or behind a proxy that has them. Requests have no body; connections, their time and the scrapes at once are
// bounded, and a panic ends its request only.
//
// Names and units of metrics follow the conventions of Prometheus. Each host has the same number of series, whatever befalls it: a host's
// outcome, or a unit's state, is a label of one series, which is another series when that changes, instead of one for each value that it
// could have. Such a label has a known set of values. What does not exist has no series: a host never read has no time of its last
// reading. Host names and groups are the inventory's. Moments are timestamps, so that ages go on growing if this program stands still.
package web
