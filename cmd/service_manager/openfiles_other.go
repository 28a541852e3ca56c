//go:build !unix

package main

func openFiles() (limit uint64, ok bool) { return 0, false }

func raiseOpenFiles(uint64) (limit uint64, ok bool) { return openFiles() }
