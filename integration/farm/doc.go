// Package farm runs real hosts for benchmarks, many side by side on this machine: containers of the stack's host image, each with systemd as
// process 1, sshd and the account [User]. It takes Docker's daemon on this machine, and root to look into their cgroups.
//
//	Start ──▶ image of each Debian ──▶ docker run ──▶ booted, sshd listens ──▶ Host: an address, a key, a known host key
//
// A farm's hosts are those of the stack but for three things, so that what is measured on them is not something else: the service that fails
// every second is masked, logind ends an account's service manager at once when its last session ends (UserStopDelaySec=0, so that a
// login after that finds none, however soon), and nothing asks for their health. For as long as there are many, the machine's limit of inotify
// instances for a user is raised, by which root of all containers is bound.
package farm
