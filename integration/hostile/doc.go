// Package hostile is an SSH server in the process that misbehaves on purpose, in one way per server, at any stage of a poll:
//
//	TCP ──▶ banner ──▶ key exchange ──▶ login ──▶ channel ──▶ exec ──▶ output ──▶ close
//	        └── bytes ┘└─── Cut, Stall ───────┘   └──── a real SSH connection ─────┘
//
// Up to the stage at which its [Act] takes over, it does what a healthy host does. What it shows, a broken host may do by accident, or
// an attacker who owns one by intent.
package hostile
