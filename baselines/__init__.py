"""What the paper's method is compared with. Imports benchmark.plan and benchmark.parts only."""
