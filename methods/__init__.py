"""The paper's method and its ablations. Imports benchmark.plan and benchmark.parts only."""
