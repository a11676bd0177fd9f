package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks a second in /proc/PID/stat: USER_HZ is 100 on every architecture that
// Go runs Linux on.
const tick = 10 * time.Millisecond

// procStat is what /proc/PID/stat says of a process, proc(5).
type procStat struct {
	parent int
	cpu    time.Duration // user and system, of all threads
}

func parseStat(stat []byte) (p procStat, err error) {
	// The name, in parentheses, may hold anything, even a parenthesis.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return p, errors.New("no process name in stat")
	}
	fields := strings.Fields(string(stat[end+1:]))
	const state = 3 // the number, in proc(5), of the first field after the name
	if len(fields) < 15-state+1 {
		return p, errors.New("too few fields in stat")
	}
	if p.parent, err = strconv.Atoi(fields[4-state]); err != nil {
		return p, err
	}
	for _, field := range []int{14, 15} {
		n, err := strconv.ParseInt(fields[field-state], 10, 64)
		if err != nil {
			return p, err
		}
		p.cpu += time.Duration(n) * tick
	}
	return p, nil
}

// processTree is a process and all its descendants. Peers start their workers
// before they are measured and end none, so one look is enough.
func processTree(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended since
		}
		if p, err := parseStat(stat); err == nil {
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// processorTime is that of several processes together. One that has ended is left
// out: nginx has one that looks at its cache a minute after the start, and goes.
func processorTime(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		p, err := parseStat(stat)
		if err != nil {
			return 0, err
		}
		total += p.cpu
	}
	return total, nil
}

// residentMemory is that of several processes together, in bytes. Pages that
// they share count once: the proportional set size.
func residentMemory(pids []int) (total int64, err error) {
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := parsePSS(rollup)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func parsePSS(rollup []byte) (int64, error) {
	for line := range strings.Lines(string(rollup)) {
		value, ok := strings.CutPrefix(line, "Pss:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		return kib << 10, err
	}
	return 0, errors.New("no Pss in smaps_rollup")
}
