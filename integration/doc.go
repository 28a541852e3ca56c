// Package integration tests the program against the real world: the compose stack (docker-compose.yml) with its RabbitMQ and its
// hosts, which run real systemd and real sshd.
//
// The tests need Docker with Compose, and carry the build tag "integration":
//
//	go test -tags integration ./integration/...
//
// They start a stack of their own, beside one that "make up" may have started, and remove it. KEEP_STACK=1 leaves it running, to look at
// it; the next run starts anew. What the tests assert about messages is what a consumer received from the broker.
package integration
