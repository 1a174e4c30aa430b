#!/bin/sh
# The day of the incident: the controller at work while others deploy. Run by `rehearsal record`, see README.md.
set -u
KUBECONFIG=$REHEARSAL_KUBECONFIG_TRAFFIC incident_traffic &
incident_controller
code=$?
wait
exit $code
