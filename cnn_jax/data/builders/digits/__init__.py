"""The 1,797 handwritten digits that scikit-learn ships."""
