// Package clients tests the server with the programs that must not notice that it is none: kubectl, client-go and
// controller-runtime, each as published upstream.
//
// The environment says what to talk to. With REHEARSAL_BIN, the path of the built binary, the tests start servers of
// their own. Without it they use the cluster of KUBECONFIG, where everything is made in namespaces that are deleted
// afterwards; what needs a server of its own is skipped there.
package clients
