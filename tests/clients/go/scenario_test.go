package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// scenarioBound is how long any one thing of a scenario may take.
const scenarioBound = 60 * time.Second

// scenario is a conversation of programs with a cluster that a tape can hold: a follower in lane `controller`, and
// kubectl, call after call, in lane `kubectl`. It runs in a process of its own, below `rehearsal record` and
// `rehearsal replay`, and writes down what it was told.
type scenario struct {
	kubectl    string
	kubeconfig string
	home       string
	steps      []step
}

// step is a call of kubectl and what came of it.
type step struct {
	Args   string
	Code   int
	Output string
}

// The environment of a scenario's process: where to write what was told, which kubectl to call, and which part to play.
const (
	scenarioOut     = "SCENARIO_OUT"
	scenarioKubectl = "SCENARIO_KUBECTL"
	scenarioPart    = "SCENARIO_PART"
)

// The parts of a scenario.
const (
	// wholePart is the controller and kubectl.
	wholePart = "whole"
	// controllerPart is the controller alone, while somebody else does what kubectl did.
	controllerPart = "controller"
	// streamsPart is kubectl and a pod that commands can be run in.
	streamsPart = "streams"
)

// playScenario is the process: its exit code says whether everything could be done.
func playScenario(out string) int {
	steps, err := runScenario()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	text, err := json.MarshalIndent(steps, "", " ")
	if err == nil {
		err = os.WriteFile(out, text, 0o600)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func runScenario() ([]step, error) {
	home, err := os.MkdirTemp("", "scenario-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	s := &scenario{kubectl: os.Getenv(scenarioKubectl), kubeconfig: os.Getenv("REHEARSAL_KUBECONFIG_KUBECTL"), home: home}
	switch part := os.Getenv(scenarioPart); part {
	case wholePart:
		return s.beside(s.play)
	case controllerPart:
		return s.beside(func() error { return nil })
	case streamsPart:
		s.kubeconfig = os.Getenv("KUBECONFIG")
		return s.streams()
	default:
		return nil, fmt.Errorf("no part %q", part)
	}
}

// beside plays something while the controller works, and waits for the controller's end.
func (s *scenario) beside(play func() error) ([]step, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := &follower{leads: make(chan struct{}), gone: make(chan string, 10)}
	ended := make(chan error, 1)
	go func() { ended <- follow(ctx, config, f) }()
	select {
	case <-f.leads:
	case err := <-ended:
		return nil, fmt.Errorf("the controller ended: %v", err)
	case <-time.After(scenarioBound):
		return nil, errors.New("the controller does not lead")
	}
	if err := play(); err != nil {
		return nil, err
	}
	// The copy goes twice: by hand, and with what it is a copy of.
	for range 2 {
		select {
		case <-f.gone:
		case <-time.After(scenarioBound):
			return nil, errors.New("the controller was not told that the copy is gone")
		}
	}
	cancel()
	select {
	case err = <-ended:
	case <-time.After(scenarioBound):
		err = errors.New("the controller does not end")
	}
	return s.steps, err
}

const followed = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1
        resources: {limits: {cpu: 500m, memory: 64Mi}}
`

// play is what kubectl does. Between changes it waits for the controller, so that one run is like another.
func (s *scenario) play() error {
	var failed error
	do := s.doing(&failed)
	caughtUp := func(generation string) {
		do(0, "", "wait", "--for=jsonpath={.status.observedGeneration}="+generation, "deploy/web", "--timeout=60s")
	}
	do(0, followed, "apply", "-f", "-")
	caughtUp("1")
	do(0, "", "get", "deploy", "-o", "wide")
	if failed != nil {
		return failed
	}
	watching, err := s.watch("get", "deploy", "web", "-w")
	if err != nil {
		return err
	}
	defer watching.end()
	if err := watching.await("web"); err != nil {
		return err
	}
	do(0, "", "patch", "deploy", "web", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:2"}]}}}}`)
	caughtUp("2")
	do(0, "", "scale", "deploy", "web", "--replicas=3")
	caughtUp("3")
	if failed != nil {
		return failed
	}
	if err := watching.await("0/3"); err != nil {
		return err
	}
	s.steps = append(s.steps, watching.interrupt())
	do(0, "", "get", "cm", "web-copy", "-o", "jsonpath={.data}")
	do(0, "", "label", "deploy", "web", "tier=front")
	// An annotation makes a new generation of a Deployment.
	do(0, "", "annotate", "deploy", "web", "seen=yes")
	caughtUp("4")
	do(0, "", "describe", "deploy", "web")
	do(0, strings.ReplaceAll(followed, "cpu: 500m", "cpu: 0.25"), "apply", "--dry-run=server", "-f", "-")
	do(0, strings.ReplaceAll(followed, "cpu: 500m", "cpu: 250m"), "apply", "-f", "-")
	caughtUp("5")
	do(0, configMap, "apply", "--server-side", "-f", "-")
	do(1, strings.ReplaceAll(configMap, "\"1\"", "\"9\""), "apply", "--server-side", "--field-manager=other", "-f", "-")
	do(0, "", "create", "serviceaccount", "robot")
	do(0, "", "create", "token", "robot")
	do(0, "", "create", "secret", "generic", "s", "--from-literal=password=hunter2hunter2")
	do(0, "", "auth", "can-i", "get", "pods")
	do(0, "", "get", "serviceaccounts,secrets", "-o", "name")
	do(0, "", "delete", "cm", "web-copy")
	do(0, "", "wait", "--for=create", "cm/web-copy", "--timeout=60s")
	do(1, "", "get", "deploy", "nobody")
	do(1, "", "logs", "nobody")
	do(1, "", "exec", "nobody", "--", "true")
	do(0, "", "delete", "deploy", "web")
	do(0, "", "get", "deploy")
	return failed
}

// doing calls kubectl until something has failed: a call that does not end with this exit code.
func (s *scenario) doing(failed *error) func(code int, stdin string, args ...string) {
	return func(code int, stdin string, args ...string) {
		if *failed != nil {
			return
		}
		got := s.call(stdin, args...)
		if got.Code != code {
			*failed = fmt.Errorf("kubectl %s: exit code %d, not %d: %s", got.Args, got.Code, code, got.Output)
		}
	}
}

// streams runs commands in a pod.
func (s *scenario) streams() ([]step, error) {
	var failed error
	do := s.doing(&failed)
	do(0, "", "exec", "p", "--", "echo", "hello", "world")
	do(3, "", "exec", "p", "--", "fail")
	do(0, "one\ntwo\n", "exec", "-i", "p", "--", "cat")
	do(0, "", "exec", "p", "--", "echo", "goodbye")
	do(0, "", "logs", "p")
	return s.steps, failed
}

func (s *scenario) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.kubectl, args...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "KUBECONFIG="+s.kubeconfig)
	return cmd
}

func (s *scenario) call(stdin string, args ...string) step {
	ctx, cancel := context.WithTimeout(context.Background(), 2*scenarioBound)
	defer cancel()
	cmd := s.command(ctx, args)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	_ = cmd.Run()
	done := step{Args: strings.Join(args, " "), Code: cmd.ProcessState.ExitCode(), Output: out.String()}
	s.steps = append(s.steps, done)
	return done
}

// watching is a kubectl that goes on beside others.
type watching struct {
	cmd   *exec.Cmd
	lines chan string
	args  string
	stop  context.CancelFunc
}

func (s *scenario) watch(args ...string) (*watching, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*scenarioBound)
	w := &watching{cmd: s.command(ctx, args), lines: make(chan string, 100), args: strings.Join(args, " "), stop: cancel}
	stdout, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer close(w.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			w.lines <- scanner.Text()
		}
	}()
	return w, nil
}

// await reads lines until one has this part.
func (w *watching) await(want string) error {
	for line := range w.lines {
		if strings.Contains(line, want) {
			return nil
		}
	}
	return fmt.Errorf("kubectl %s never said %q", w.args, want)
}

// interrupt ends it as ctrl-c does.
func (w *watching) interrupt() step {
	_ = w.cmd.Process.Signal(os.Interrupt)
	for range w.lines {
	}
	_ = w.cmd.Wait()
	return step{Args: w.args, Code: w.cmd.ProcessState.ExitCode()}
}

func (w *watching) end() {
	w.stop()
	for range w.lines {
	}
	_ = w.cmd.Wait()
}

var (
	durations = regexp.MustCompile(`\b([0-9]+(ms|s|m|h))+\b`)
	columns   = regexp.MustCompile(` {2,}`)
	times     = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), .*`)
)

// comparable is what two runs have in common: no ages, no times, no events (they are told in the background), no token.
func comparable(steps []step) string {
	var out strings.Builder
	for _, s := range steps {
		text, _, _ := strings.Cut(s.Output, "Events:")
		if strings.HasPrefix(s.Args, "create token") {
			text = ""
		}
		text = times.ReplaceAllString(columns.ReplaceAllString(durations.ReplaceAllString(text, "AGE"), "  "), "TIME")
		fmt.Fprintf(&out, "$ kubectl %s\n%s[%d]\n", s.Args, text, s.Code)
	}
	return out.String()
}

// stepsOf reads what a scenario wrote down.
func stepsOf(path string) ([]step, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	var steps []step
	return steps, json.Unmarshal(text, &steps)
}
