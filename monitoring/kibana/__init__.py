"""What Kibana shows of CardioSentry, and the detection rules of Elastic Security: made here, brought in by command."""
