package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/diff"
)

// taped is a call of the binary that runs the scenario with a tape.
type taped struct {
	steps      []step
	stderr     string
	report     map[string]any
	transcript string
}

// withTape runs `rehearsal ARGS… -- scenario`, which must end well.
func withTape(t *testing.T, args ...string) taped {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "out.json")
	cmd := exec.CommandContext(ctx, os.Getenv("REHEARSAL_BIN"), append(args, "--", os.Args[0])...)
	cmd.Env = append(os.Environ(), "CI=", scenarioOut+"="+out, scenarioKubectl+"="+bin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("rehearsal %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	steps, err := stepsOf(out)
	if err != nil {
		t.Fatal(err)
	}
	return taped{steps: steps, stderr: stderr.String()}
}

// replayed runs the scenario with a tape for a server.
func replayed(t *testing.T, tape string, flags ...string) taped {
	t.Helper()
	dir := t.TempDir()
	report, transcript := filepath.Join(dir, "report.json"), filepath.Join(dir, "transcript")
	run := withTape(t, append([]string{"replay", tape, "--report", report, "--transcript", transcript, "--patience", "20000"}, flags...)...)
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &run.report)
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(transcript); err != nil {
		t.Fatal(err)
	}
	run.transcript = string(text)
	return run
}

// isClean fails for whatever the report says was wanting.
func (r *taped) isClean(t *testing.T) {
	t.Helper()
	for _, key := range []string{"unmatched", "unused", "unreleased", "missed", "diverged", "skipped"} {
		if list, ok := r.report[key].([]any); ok && len(list) > 0 {
			t.Errorf("%s: %s", key, r.stderr)
			return
		}
	}
}

// kubectl and a controller are recorded, and play again in every mode and pace with the tape for a cluster: all their
// requests are answered, kubectl says and returns the same, and two replays are one and the same.
func TestATapeServesKubectlAndAControllerInEveryModeAndPace(t *testing.T) {
	t.Parallel()
	own := ownServer(t, "--controllers", "none")
	tape := filepath.Join(t.TempDir(), "scenario.tape.yaml")
	if keep := os.Getenv("SCENARIO_TAPE"); keep != "" {
		tape = keep
	}
	recorded := withTape(t, "record", "--kubeconfig", own.kubeconfig, "-o", tape, "--lane", "controller", "--lane", "kubectl")
	if len(recorded.steps) < 30 {
		t.Fatalf("%d steps", len(recorded.steps))
	}
	wanted := comparable(recorded.steps)
	for _, mode := range []string{"strict", "lenient", "hydrate"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			transcripts := map[string]string{}
			for _, pace := range []string{"gated", "gated again", "recorded", "asap"} {
				if pace == "asap" && mode != "hydrate" {
					continue
				}
				word, _, _ := strings.Cut(pace, " ")
				run := replayed(t, tape, "--mode", mode, "--pace", word)
				run.isClean(t)
				if got := comparable(run.steps); got != wanted {
					t.Errorf("pace %s: kubectl was told something else:\n%s", pace, diff.Diff(wanted, got))
				}
				transcripts[pace] = run.transcript
			}
			if one, two := transcripts["gated"], transcripts["gated again"]; one != two || one == "" {
				t.Errorf("two replays differ:\n%s", diff.Diff(one, two))
			}
		})
	}
}
