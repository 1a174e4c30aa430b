package clients

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

// shared is the server that most tests use; each has a namespace of its own in it.
var shared *server

// server is an API server that tests talk to.
type server struct {
	kubeconfig string
	process    *exec.Cmd
	stderr     bytes.Buffer
	// bare says that no controller runs beside the server.
	bare bool
}

func TestMain(m *testing.M) {
	// Below a recorder or a replay this program is what is recorded.
	if out := os.Getenv(scenarioOut); out != "" {
		os.Exit(playScenario(out))
	}
	scratch, err := os.MkdirTemp("", "clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = scratch
	code := 1
	if shared, err = anyServer(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
		if err := shared.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(scratch)
	os.Exit(code)
}

// anyServer starts a server, or takes the one of KUBECONFIG.
func anyServer(scratch string) (*server, error) {
	if os.Getenv("REHEARSAL_BIN") != "" {
		return launch(scratch, "--auth", "rbac", "--controllers", "default")
	}
	if path := os.Getenv("KUBECONFIG"); path != "" {
		return &server{kubeconfig: path}, nil
	}
	return nil, fmt.Errorf("nothing to test: set REHEARSAL_BIN to the rehearsal binary, or KUBECONFIG to a cluster")
}

// launch starts the binary and waits for its ready line.
func launch(dir string, flags ...string) (*server, error) {
	s := &server{bare: slices.Contains(flags, "none")}
	args := append([]string{"serve", "--port", "0", "--kubeconfig-out", filepath.Join(dir, "kubeconfig")}, flags...)
	s.process = exec.Command(os.Getenv("REHEARSAL_BIN"), args...)
	s.process.Stderr = &s.stderr
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, kubeconfig, found := strings.Cut(strings.TrimSpace(line), " kubeconfig=")
	if err != nil || !found {
		s.process.Process.Kill()
		s.process.Wait()
		return nil, fmt.Errorf("no ready line (%q, %v): %s", line, err, s.stderr.String())
	}
	s.kubeconfig = kubeconfig
	return s, nil
}

// stop ends a server that was started here, which must not have failed meanwhile.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	s.process.Process.Signal(os.Interrupt)
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("the server ended with %w: %s", err, s.stderr.String())
	}
	if strings.Contains(s.stderr.String(), "panicked at") {
		return fmt.Errorf("the server panicked: %s", s.stderr.String())
	}
	return nil
}

// ownServer is a server for one test, with these flags.
func ownServer(t *testing.T, flags ...string) *server {
	t.Helper()
	if os.Getenv("REHEARSAL_BIN") == "" {
		t.Skip("needs a server of its own, and REHEARSAL_BIN is not set")
	}
	s, err := launch(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// config is a client configuration of the administrator, without client-side throttling.
func (s *server) config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

var namespaces struct {
	sync.Mutex
	next int
}

// namespace makes a namespace that lives as long as the test.
func (s *server) namespace(t testing.TB) string {
	t.Helper()
	namespaces.Lock()
	namespaces.next++
	name := fmt.Sprintf("t%d-%d", os.Getpid(), namespaces.next)
	namespaces.Unlock()
	core := kubernetes.NewForConfigOrDie(s.config(t)).CoreV1()
	client := core.Namespaces()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// A server of our own goes with everything in it.
	if s.process == nil {
		t.Cleanup(func() { client.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	}
	if s.bare {
		return name
	}
	// Pods are refused until a controller has made the namespace's service account.
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := core.ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, crclient.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatalf("the service account of namespace %s: %v", name, err)
	}
	return name
}
