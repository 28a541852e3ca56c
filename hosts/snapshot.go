package hosts

import (
	"time"

	"service_manager/hosts/systemctl"
)

// A Snapshot is what one poll learnt from a host.
type Snapshot struct {
	Manager systemctl.Manager
	BootID  string           // of the running kernel, empty where the host does not tell
	Units   []systemctl.Unit // one for each unit that the inventory names, in its order, then those that its globs stand for, by name
	Took    time.Duration    // from sending the command to its complete answer

	// GlobsErr says why this poll could not resolve the globs anew, where it had to. The units are those of the last time.
	GlobsErr error
}
