"""Workflows of the Open Workflow Specification, as the kind ``open-workflow``."""

from qtforge_sample_openworkflow.plugin import OpenWorkflowConfig, OpenWorkflows

__all__ = ["OpenWorkflowConfig", "OpenWorkflows"]
