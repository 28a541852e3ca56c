package publish_test

import (
	"strings"
	"testing"

	"service_manager/publish"
)

func TestExamineConfiguration(t *testing.T) {
	findings := publish.Examine(t.Context(), publish.Config{Exchange: "x"})
	if len(findings) != 1 || findings[0].Severity != publish.SeverityError || !strings.Contains(findings[0].Detail, "no broker URL") {
		t.Errorf("%+v", findings)
	}
}
