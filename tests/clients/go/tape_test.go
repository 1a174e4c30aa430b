package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/httpstream/wsstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// taped is a call of the binary that runs the scenario with a tape.
type taped struct {
	steps      []step
	stderr     string
	report     map[string]any
	transcript string
}

// withTape runs `rehearsal ARGS… -- scenario` with a part of the scenario, which must end well.
func withTape(t *testing.T, part string, args ...string) taped {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "out.json")
	cmd := exec.CommandContext(ctx, os.Getenv("REHEARSAL_BIN"), append(args, "--", os.Args[0])...)
	cmd.Env = append(os.Environ(), "CI=", scenarioOut+"="+out, scenarioKubectl+"="+bin, scenarioPart+"="+part)
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

// replayed runs a part of the scenario with a tape for a server.
func replayed(t *testing.T, part, tape string, flags ...string) taped {
	t.Helper()
	dir := t.TempDir()
	report, transcript := filepath.Join(dir, "report.json"), filepath.Join(dir, "transcript")
	run := withTape(t, part, append([]string{"replay", tape, "--report", report, "--transcript", transcript, "--patience", "20000"}, flags...)...)
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
	for _, key := range []string{"unmatched", "unused", "unreleased", "missed", "diverged", "skipped", "otherwise"} {
		if list, ok := r.report[key].([]any); ok && len(list) > 0 {
			t.Errorf("%s: %s", key, r.stderr)
			return
		}
	}
}

// plays replays a part in a mode at each pace, and twice at the first: everything is answered, kubectl says and returns
// the same, and two replays are one and the same.
func plays(t *testing.T, part, tape, mode string, recorded []step, flags []string, paces ...string) {
	t.Helper()
	wanted := comparable(recorded)
	var transcripts []string
	for _, pace := range append(paces[:1:1], paces...) {
		run := replayed(t, part, tape, append([]string{"--mode", mode, "--pace", pace}, flags...)...)
		run.isClean(t)
		if got := comparable(run.steps); got != wanted {
			t.Errorf("pace %s: kubectl was told something else:\n%s", pace, diff.Diff(wanted, got))
		}
		transcripts = append(transcripts, run.transcript)
	}
	if transcripts[0] != transcripts[1] || transcripts[0] == "" {
		t.Errorf("two replays differ:\n%s", diff.Diff(transcripts[0], transcripts[1]))
	}
}

var modes = []string{"strict", "lenient", "hydrate"}

func TestATapeServesKubectlAndAControllerInEveryModeAndPace(t *testing.T) {
	t.Parallel()
	own := ownServer(t, "--controllers", "none")
	tape := filepath.Join(t.TempDir(), "scenario.tape.yaml")
	if keep := os.Getenv("SCENARIO_TAPE"); keep != "" {
		tape = keep
	}
	recorded := withTape(t, wholePart, "record", "--kubeconfig", own.kubeconfig, "-o", tape, "--lane", "controller", "--lane", "kubectl")
	if len(recorded.steps) < 30 {
		t.Fatalf("%d steps", len(recorded.steps))
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			plays(t, wholePart, tape, mode, recorded.steps, nil, "gated", "recorded", "asap")
		})
		t.Run(mode+" without kubectl", func(t *testing.T) {
			t.Parallel()
			plays(t, controllerPart, tape, mode, nil, []string{"--lane", "controller"}, "gated", "asap")
		})
	}
}

// shell is an API server that can run commands in pods, which ours cannot; for the rest it is ours.
func shell(t *testing.T, s *server) string {
	t.Helper()
	config := s.config(t)
	behind, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/pods/p/exec"):
			run(w, r)
		case strings.HasSuffix(r.URL.Path, "/pods/p/log"):
			fmt.Fprintln(w, "it works")
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["c"] = &clientcmdapi.Cluster{Server: front.URL}
	kubeconfig.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "some-token-of-mine"}
	kubeconfig.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	kubeconfig.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// run is a command in a pod, over a WebSocket as the kubelet speaks it.
func run(w http.ResponseWriter, r *http.Request) {
	const in, out = wsstream.ReadChannel, wsstream.WriteChannel
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		"v5.channel.k8s.io": {Binary: true, Channels: []wsstream.ChannelType{in, out, out, out, in}},
	})
	_, streams, err := conn.Open(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	status := metav1.Status{Status: metav1.StatusSuccess}
	switch words := r.URL.Query()["command"]; words[0] {
	case "cat":
		io.Copy(streams[1], streams[0])
	case "fail":
		fmt.Fprintln(streams[2], "it does not work")
		status = metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: "exit 3", Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: "ExitCode", Message: "3"}},
		}}
	default:
		fmt.Fprintln(streams[1], strings.Join(words[1:], " "))
	}
	json.NewEncoder(streams[3]).Encode(status)
}

// kubectl exec is recorded with what was said, and is told the same by the tape.
func TestATapeRunsCommandsInPods(t *testing.T) {
	t.Parallel()
	own := ownServer(t, "--controllers", "none")
	client := kubernetes.NewForConfigOrDie(own.config(t)).CoreV1()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := client.ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Pods("default").Create(t.Context(), podOf("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tape := filepath.Join(t.TempDir(), "streams.tape.yaml")
	recorded := withTape(t, streamsPart, "record", "--kubeconfig", shell(t, own), "-o", tape, "--record-streams")
	if said := comparable(recorded.steps); !strings.Contains(said, "hello world\n[0]") || !strings.Contains(said, "it does not work") || !strings.Contains(said, "one\ntwo\n[0]") {
		t.Fatal(said)
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			plays(t, streamsPart, tape, mode, recorded.steps, nil, "gated", "recorded", "asap")
		})
	}
}
