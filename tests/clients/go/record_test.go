package clients

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// recorder is a `rehearsal record` between clients and a server.
type recorder struct {
	server
	tape string
}

// recordBefore puts a recorder in front of a server, with these flags.
func recordBefore(t *testing.T, s *server, tape string, flags ...string) *recorder {
	t.Helper()
	bin := os.Getenv("REHEARSAL_BIN")
	if bin == "" {
		t.Skip("needs a recorder, and REHEARSAL_BIN is not set")
	}
	r := &recorder{tape: tape}
	args := append([]string{"record", "--kubeconfig", s.kubeconfig, "-o", tape, "--kubeconfig-out", filepath.Join(t.TempDir(), "recorded")}, flags...)
	r.process = exec.Command(bin, args...)
	r.process.Env = append(os.Environ(), "CI=")
	r.process.Stderr = &r.stderr
	stdout, err := r.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, kubeconfig, found := strings.Cut(strings.TrimSpace(line), " kubeconfig=")
	if err != nil || !found {
		r.process.Process.Kill()
		r.process.Wait()
		t.Fatalf("no ready line (%q, %v): %s", line, err, r.stderr.String())
	}
	r.kubeconfig = kubeconfig
	return r
}

// session works through a server with an informer and with kubectl, and returns how many pods the informer saw come.
func session(t *testing.T, s *server, namespace string) int64 {
	t.Helper()
	// To build kubectl takes its time, which is none of the session's.
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := kubernetes.NewForConfigOrDie(s.config(t))
	var added, deleted atomic.Int64
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermNotEqualSelector("metadata.name", "kube-root-ca.crt").String()
		}))
	informer := factory.Core().V1().ConfigMaps().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { added.Add(1) },
		DeleteFunc: func(any) { deleted.Add(1) },
	}); err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer does not sync")
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	for _, name := range []string{"a", "b"} {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"x": "1"}}
		if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	k := &kubectl{t: t, bin: bin, home: t.TempDir(), namespace: namespace}
	k.kubeconfig = kubeconfigFor(t, s, k.home, namespace)
	k.ok("annotate", "configmap", "a", "seen=yes")
	k.is("configmap/a\nconfigmap/b", "get", "configmaps", "a", "b", "-o", "name")
	k.ok("delete", "configmap", "b")
	err = wait.PollUntilContextCancel(ctx, 0, true, func(context.Context) (bool, error) {
		return added.Load() == 2 && deleted.Load() == 1, nil
	})
	if err != nil {
		t.Fatalf("the informer saw %d come and %d go: %s", added.Load(), deleted.Load(), s.stderr.String())
	}
	cancel()
	factory.Shutdown()
	return added.Load()
}

// A session of kubectl and of a client-go informer is recorded, and the tape then answers the same session alone.
func TestRecorded(t *testing.T) {
	t.Parallel()
	own := ownServer(t, "--controllers", "none")
	tape := filepath.Join(t.TempDir(), "session.tape.yaml")
	r := recordBefore(t, own, tape)
	session(t, &r.server, "default")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(tape)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kind: Sealed", "watch: \"true\"", "kubectl-command: \"kubectl annotate\"", "type: ADDED"} {
		if !bytes.Contains(text, []byte(want)) && !bytes.Contains(text, []byte(strings.ReplaceAll(want, "\"", ""))) {
			t.Errorf("no %q on the tape:\n%s", want, text)
		}
	}
	if bytes.Contains(text, []byte("rehearsal-lane")) {
		t.Error("a lane's token is on the tape")
	}
	replayed := recordBefore(t, own, tape, "--mode", "none")
	session(t, &replayed.server, "default")
	if err := replayed.stop(); err != nil {
		t.Fatal(err)
	}
}
